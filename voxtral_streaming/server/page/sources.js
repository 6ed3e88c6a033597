/** What can be listened to: the microphone, and a recording that is played.
 *
 * A source has `rate` (of its samples, hertz), `level` (an AnalyserNode), `start(onBlock, onEnd)`,
 * which hands on blocks of little-endian 16-bit mono samples, and `stop()`, which resolves when the
 * last block was handed on. Opening one must happen in answer to a press.
 */

import { Trouble } from "./server.js";

const BLOCK_SECONDS = 0.04;
const TAIL_MS = 500;

/** Captions want the voice as it is: cancelling echo or noise removes words, too. */
const CONSTRAINTS = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };

const DENIALS = {
  NotAllowedError:
    "The browser was not allowed to use the microphone. Allow it beside the address of this page, and press again.",
  NotFoundError: "No microphone was found. Plug one in and press again; the sample and recordings work without one.",
  NotReadableError: "The microphone is in use by another program, or the system does not give it to the browser.",
};

export async function openMicrophone() {
  if (!navigator.mediaDevices) {
    throw new Trouble(
      "Browsers give the microphone only to pages on localhost or over HTTPS. " +
        "The sample and recordings work here, too.",
    );
  }
  const context = new AudioContext();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: CONSTRAINTS });
    await context.audioWorklet.addModule(new URL("recorder.js", import.meta.url));
    return new Microphone(context, stream);
  } catch (error) {
    await context.close();
    throw new Trouble(DENIALS[error.name] ?? `The microphone could not be opened: ${error.message}`, { cause: error });
  }
}

class Microphone {
  constructor(context, stream) {
    this.context = context;
    this.stream = stream;
    this.rate = context.sampleRate;
    this.level = levelOf(context);
    this.recorder = new AudioWorkletNode(context, "recorder", {
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { blockLength: Math.round(this.rate * BLOCK_SECONDS) },
    });
  }

  start(onBlock, onEnd) {
    this.finished = new Promise((resolve) => {
      this.recorder.port.onmessage = ({ data }) => (data ? onBlock(data) : resolve());
    });
    for (const track of this.stream.getTracks()) track.onended = onEnd;
    const microphone = this.context.createMediaStreamSource(this.stream);
    microphone.connect(this.level);
    microphone.connect(this.recorder).connect(this.context.destination); // silent; Safari runs only what is connected
  }

  async stop() {
    for (const track of this.stream.getTracks()) track.stop();
    this.recorder.port.postMessage("finish");
    await Promise.race([this.finished, pause(TAIL_MS)]); // a suspended context does not answer
    await this.context.close();
  }
}

export async function openRecording(url) {
  const context = new AudioContext();
  try {
    const response = await fetch(url);
    return new Recording(context, await context.decodeAudioData(await response.arrayBuffer()));
  } catch (error) {
    await context.close();
    throw new Trouble(`The sample could not be played: ${error.message}`, { cause: error });
  }
}

/** Plays a recording aloud and hands it on at the pace at which it is heard. */
class Recording {
  constructor(context, buffer) {
    this.context = context;
    this.samples = buffer.getChannelData(0).slice(); // Firefox takes the original away when it is played
    this.rate = buffer.sampleRate;
    this.level = levelOf(context);
    this.player = new AudioBufferSourceNode(context, { buffer });
    this.sent = 0;
  }

  start(onBlock, onEnd) {
    Object.assign(this, { onBlock, onEnd, startedAt: performance.now() });
    this.player.connect(this.level);
    this.player.connect(this.context.destination);
    this.player.start();
    this.timer = setInterval(() => this.#send(), BLOCK_SECONDS * 1000);
  }

  /** Keeps to the clock of the page: that of the audio stands still where there is nothing to hear it with. */
  #send() {
    const heard = Math.round(((performance.now() - this.startedAt) / 1000) * this.rate);
    const block = this.samples.subarray(this.sent, heard);
    this.sent += block.length;
    if (block.length)
      this.onBlock(Int16Array.from(block, (sample) => Math.max(-1, Math.min(1, sample)) * 32767).buffer);
    else this.onEnd();
  }

  async stop() {
    clearInterval(this.timer);
    await this.context.close();
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function levelOf(context) {
  return new AnalyserNode(context, { fftSize: 2048, smoothingTimeConstant: 0.2 });
}

/** Runs in the audio thread: cuts what it hears into blocks of 16-bit samples and posts them.
 *
 * Any message to it asks for what is left: the last, shorter block, and then `null`.
 */
class Recorder extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.block = new Int16Array(processorOptions.blockLength);
    this.length = 0;
    this.recording = true;
    this.port.onmessage = () => {
      this.recording = false;
      this.post();
      this.port.postMessage(null);
    };
  }

  /** Takes the next 128 samples [1 input][1 channel][128]; no channel while the source is not running. */
  process([[samples = []]]) {
    for (const sample of samples) {
      this.block[this.length++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.length === this.block.length) this.post();
    }
    return this.recording;
  }

  post() {
    this.port.postMessage(this.block.slice(0, this.length).buffer);
    this.length = 0;
  }
}

registerProcessor("recorder", Recorder);

/** A live session, from the first block of a source to the last final. */

import { sentence, Trouble } from "./server.js";

const SAMPLE_BYTES = 2;
const MAX_BEHIND_S = 30; // audio that may wait to be sent; then no more is recorded
const PATIENCE_S = 30; // for the last final

export class Live {
  #source;
  #session;
  #take;
  #seconds = 0;
  #stopped = null;
  #patience = 0;
  #onProgress;
  #onFinish;

  /** `onProgress` gets the seconds recorded, how many of them wait for the server, and whether that is lost. */
  constructor(source, session, take, { onProgress, onFinish }) {
    this.#source = source;
    this.#session = session;
    this.#take = take;
    this.#onProgress = onProgress;
    this.#onFinish = onFinish;
    session.onmessage = (message) => this.#show(message);
    session.onaway = () => this.#report();
  }

  /** Records until `finish`, the end of the source or of the session.
   *
   * Resolves after the last final: true, or false where the session was cut off; the take says why.
   */
  async run(language) {
    const audio = { encoding: "pcm_s16le", sample_rate: this.#source.rate, channels: 1 };
    this.#session.start(language ? { audio, language } : { audio });
    this.#source.start(
      (block) => this.#feed(block),
      () => this.finish(),
    );
    try {
      await this.#session.ended;
      return true;
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      this.#take.keepOpen(this.#seconds);
      this.#take.fail(error);
      return false;
    } finally {
      clearTimeout(this.#patience);
      await this.#stop();
      this.#take.end(this.#seconds);
    }
  }

  /** No more audio; the last final is yet to come. */
  async finish() {
    this.#onFinish();
    await this.#stop();
    this.#session.close();
    this.#patience = setTimeout(() => this.#session.abandon("The server did not finish in time."), PATIENCE_S * 1000);
  }

  #stop() {
    return (this.#stopped ??= this.#source.stop());
  }

  #feed(block) {
    this.#session.feed(block);
    this.#seconds += block.byteLength / SAMPLE_BYTES / this.#source.rate;
    if (this.#report() > MAX_BEHIND_S && !this.#stopped) {
      this.#take.fail(new Trouble("The server or the network cannot keep up, so the recording was stopped."));
      this.finish();
    }
  }

  #report() {
    const behind = this.#session.waiting / SAMPLE_BYTES / this.#source.rate;
    this.#onProgress(this.#seconds, behind, this.#session.isAway);
    return behind;
  }

  #show(message) {
    if (message.type === "speech_started") this.#take.speechStarted(message);
    if (message.type === "partial") this.#take.partial(message);
    if (message.type === "final") this.#take.add(message);
    if (message.type === "warning") this.#take.note(sentence(message.message));
  }
}

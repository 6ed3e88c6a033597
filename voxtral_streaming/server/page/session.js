/** A live session over the WebSocket, as docs/protocol.md describes it, over as many connections as it takes. */

import { openSocket, sentence, Trouble } from "./server.js";
import { Unacknowledged } from "./unacknowledged.js";

const DONE = 1000;
const FINAL = [1001, 4404, 4409]; // there is no way back after these
const ENDINGS = {
  1001: "The server is stopping.",
  1006: "The connection to the server was lost. What it heard until then is kept.",
  4409: "Another page has taken this session over.",
};
const PAUSES_S = [0, 0.25, 0.5, 1, 2, 4]; // between attempts to come back; the last one again and again
const ATTEMPT_S = 10; // for each of them
const ACK_EVERY = 32; // messages

/** Opens a session; resolves once the server has said what it can do (`session.server`), or rejects with Trouble. */
export function connect() {
  const session = new Session();
  return new Promise((resolve, reject) => {
    session.ended.then(reject, reject);
    session.onmessage = (message) => {
      if (message.type === "session") resolve(Object.assign(session, { server: message }));
    };
  });
}

class Session {
  #socket;
  #resume = null; // how to come back
  #seq = -1; // of the last message
  #unanswered = 0; // messages that were not acknowledged
  #kept = new Unacknowledged();
  #retryAfter = 0;
  #rate = 0; // bytes of audio per second
  #closed = null;
  #error = null;
  #settle;

  constructor() {
    /** Resolves with the message `closed` after an orderly end; else rejects with Trouble. */
    this.ended = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    /** Whether the connection is lost, and another one is tried. `onaway` is called when that changes. */
    this.isAway = false;
    this.onaway = () => {};
    this.#use(openSocket("ws"));
  }

  /** Bytes of audio that the network or the server has not kept up with. */
  get waiting() {
    return this.#resume ? this.#kept.size : this.#socket.bufferedAmount;
  }

  start(options) {
    this.#rate = options.audio.sample_rate * options.audio.channels * 2;
    this.#send(JSON.stringify({ type: "start", ...options, resume: true }));
  }

  /** The next 16-bit samples. */
  feed(bytes) {
    this.#say(bytes);
  }

  /** No more audio: the last final comes, and then `ended` is settled. */
  close() {
    this.#say('{"type": "close"}');
  }

  /** Gives up at once: `ended` rejects with this message. */
  abandon(message) {
    this.#error ??= { message };
    this.#socket.close();
    this.#fail(1006);
  }

  #say(item) {
    this.#kept?.add(item);
    if (!this.isAway) this.#send(item);
  }

  /** Once the session has ended nobody listens; `ended` says so. */
  #send(data) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(data);
  }

  #use(socket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    socket.onclose = ({ code, reason }) => {
      if (code === DONE || (this.#closed && !FINAL.includes(code))) this.#settle.resolve(this.#closed);
      else if (this.#resume && !this.#error && !FINAL.includes(code)) this.#comeBack();
      else this.#fail(code, reason);
    };
  }

  #take(message) {
    this.#seq = message.seq;
    this.#acknowledge(message.type === "final");
    if (message.type === "started") this.#begin(message);
    if (message.type === "ack") this.#kept.acknowledge(message);
    if (message.type === "warning") this.#retryAfter = message.retry_after_s ?? 0;
    if (message.type === "error" && message.fatal) this.#error = message.error;
    if (message.type === "closed") this.#closed = message;
    this.onmessage(message);
  }

  #begin({ resume }) {
    this.#resume = resume;
    if (!resume) this.#kept = null; // nobody will ask for it
  }

  /** Tells the server, now and then, what it need not keep for us. */
  #acknowledge(atOnce) {
    if (!this.#resume || (++this.#unanswered < ACK_EVERY && !atOnce)) return;
    this.#unanswered = 0;
    this.#send(JSON.stringify({ type: "ack", seq: this.#seq }));
  }

  /** Goes on over another connection, as if nothing had been. */
  async #comeBack() {
    this.#setAway(true);
    const until = performance.now() + this.#resume.window_s * 1000;
    await pause(this.#retryAfter);
    for (let attempt = 0; !this.#error && performance.now() < until; attempt++) {
      await pause(PAUSES_S[Math.min(attempt, PAUSES_S.length - 1)] * (0.75 + Math.random() / 2));
      const answer = await this.#ask(openSocket("ws/resume"));
      if (answer?.type === "error") break;
      if (answer) return this.#goOn(answer);
    }
    const seconds = (this.#kept.size / this.#rate).toFixed(1);
    this.#error ??= { message: `The connection to the server was lost, and the last ${seconds} s of audio with it.` };
    this.#fail(1006);
  }

  /** The first message over a new connection, which is in use then; nothing, if none came. */
  #ask(socket) {
    const ticket = { id: this.server.id, token: this.#resume.token, seq: this.#seq };
    const timer = setTimeout(() => socket.close(), ATTEMPT_S * 1000);
    return new Promise((resolve) => {
      socket.onopen = () => socket.send(JSON.stringify({ type: "resume", ...ticket }));
      socket.onclose = () => resolve(null);
      socket.onmessage = ({ data }) => {
        const answer = JSON.parse(data);
        clearTimeout(timer);
        if (answer.type === "resumed") this.#use(socket);
        resolve(answer);
      };
    });
  }

  #goOn(answer) {
    this.#kept.acknowledge(answer);
    for (const item of this.#kept) this.#send(item);
    this.#retryAfter = 0;
    this.#setAway(false);
  }

  #setAway(isAway) {
    this.isAway = isAway;
    this.onaway();
  }

  #fail(code, reason) {
    this.#settle.reject(this.#trouble(code, reason));
  }

  #trouble(code, reason) {
    if (!this.server && !this.#error) return new Trouble("The server does not answer.");
    const message = this.#error?.message ?? ENDINGS[code] ?? (reason || `the connection was closed (${code})`);
    return new Trouble(sentence(message), { code: this.#error?.code });
  }
}

function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

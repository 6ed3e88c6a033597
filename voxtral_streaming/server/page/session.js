/** A live session over the WebSocket, as docs/protocol.md describes it. */

import { openSocket, sentence, Trouble } from "./server.js";

const DONE = 1000;
const ENDINGS = {
  1001: "The server is stopping.",
  1006: "The connection to the server was lost. What it heard until then is kept.",
};

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
  #socket = openSocket("ws");
  #closed = null;
  #error = null;

  constructor() {
    this.#socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    /** Resolves with the message `closed` after an orderly end; else rejects with Trouble. */
    this.ended = new Promise((resolve, reject) => {
      this.#socket.onclose = ({ code, reason }) =>
        code === DONE ? resolve(this.#closed) : reject(this.#trouble(code, reason));
    });
  }

  /** Bytes that wait to be sent: what the network or the server has not kept up with. */
  get waiting() {
    return this.#socket.bufferedAmount;
  }

  start(options) {
    this.#send(JSON.stringify({ type: "start", ...options }));
  }

  /** The next samples, as bytes in the encoding that was started. */
  feed(bytes) {
    this.#send(bytes);
  }

  /** No more audio: the last final comes, and then `ended` is settled. */
  close() {
    this.#send('{"type": "close"}');
  }

  /** Gives up at once: `ended` rejects with this message. */
  abandon(message) {
    this.#error ??= { message };
    this.#socket.close();
  }

  /** Once the session has ended nobody listens; `ended` says so. */
  #send(data) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(data);
  }

  #take(message) {
    if (message.type === "error" && message.fatal) this.#error = message.error;
    if (message.type === "closed") this.#closed = message;
    this.onmessage(message);
  }

  #trouble(code, reason) {
    if (!this.server && !this.#error) return new Trouble("The server does not answer.");
    const message = this.#error?.message ?? ENDINGS[code] ?? (reason || `the connection was closed (${code})`);
    return new Trouble(sentence(message), { code: this.#error?.code });
  }
}

/** Whether the server is there and admits us: asks, and again with growing pauses until it does. */

import { request, Trouble } from "./server.js";
import { connect } from "./session.js";

const PAUSES_S = [1, 2, 4, 8, 15, 30];

export class Presence {
  #onChange;
  #timer = 0;
  #isAsking = false;

  /** `onChange` gets what the server says of itself (its message `session`), or Trouble. */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  async look(attempt = 0) {
    clearTimeout(this.#timer);
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#onChange(await ask().catch((error) => this.#lookAgain(error, attempt)));
    this.#isAsking = false;
  }

  #lookAgain(error, attempt) {
    if (!(error instanceof Trouble)) throw error;
    if (error.code === "unauthorized") return error;
    const pause = PAUSES_S[Math.min(attempt, PAUSES_S.length - 1)];
    this.#timer = setTimeout(() => this.look(attempt + 1), pause * 1000);
    return error;
  }
}

/** A refused WebSocket does not say why; a refused request does. */
async function ask() {
  await request("health/ready");
  const session = await connect();
  session.close();
  return session.server;
}

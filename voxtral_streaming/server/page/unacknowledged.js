/** What was said after `start` and the server may not have received: audio and messages, in their order. */
export class Unacknowledged {
  /** Bytes of audio. */
  size = 0;
  #items = [];
  #acknowledged = { bytes: 0, messages: 1 }; // `start` is answered by itself

  /** `item`: an ArrayBuffer of audio, or the text of a message. */
  add(item) {
    this.#items.push(item);
    this.size += item.byteLength ?? 0;
  }

  /**
   * The server has received so much since the session began. Over a new connection it says again what was not heard
   * over the last one, and that may be older than what it said first.
   */
  acknowledge({ received_bytes, received_messages }) {
    const before = this.#acknowledged;
    this.#acknowledged = {
      bytes: Math.max(before.bytes, received_bytes),
      messages: Math.max(before.messages, received_messages),
    };
    let bytes = this.#acknowledged.bytes - before.bytes;
    let messages = this.#acknowledged.messages - before.messages;
    while (this.#items.length) {
      const item = this.#items[0];
      if (typeof item === "string" ? !messages : item.byteLength > bytes) break;
      if (typeof item === "string") messages--;
      else bytes -= item.byteLength;
      this.size -= item.byteLength ?? 0;
      this.#items.shift();
    }
    if (!bytes) return;
    this.#items[0] = this.#items[0].slice(bytes);
    this.size -= bytes;
  }

  [Symbol.iterator]() {
    return this.#items.values();
  }
}

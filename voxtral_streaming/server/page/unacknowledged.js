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

  /** The server has received so much since the session began. */
  acknowledge({ received_bytes, received_messages }) {
    let bytes = received_bytes - this.#acknowledged.bytes;
    let messages = received_messages - this.#acknowledged.messages;
    this.#acknowledged = { bytes: received_bytes, messages: received_messages };
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

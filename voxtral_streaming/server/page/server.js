/** The server of this page: its addresses, the key that it may ask for, and its refusals. */

/** What a person can do something about; its message is for them. `code` is the server's. */
export class Trouble extends Error {
  constructor(message, { code, hint, cause } = {}) {
    super(message, { cause });
    Object.assign(this, { code, hint });
  }
}

const HINTS = {
  source_forbidden:
    "Whoever runs this server decides which URLs it fetches: audio.allow_urls, audio.allowed_hosts. " +
    "Or download the recording yourself, and drop it here.",
  audio_too_large: "As mono MP3 or Opus it would be much smaller.",
};

/** The key, until the tab is closed. */
export const key = {
  get: () => sessionStorage.getItem("key"),
  set: (value) => sessionStorage.setItem("key", value),
};

/** An open WebSocket. Browsers cannot set its headers, so the key goes as a subprotocol. */
export function openSocket(path) {
  const address = new URL(path, document.baseURI);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(address, key.get() ? ["voxtral", `bearer.${key.get()}`] : ["voxtral"]);
}

/** The answer of the server, or Trouble. */
export async function request(path, { headers = {}, ...init } = {}) {
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  const response = await fetch(new URL(path, document.baseURI), { ...init, headers }).catch(explainSilence);
  if (!response.ok) throw await refusal(response);
  return response;
}

/** Browsers do not say why a request failed. */
function explainSilence(error) {
  if (error.name === "AbortError") throw error;
  throw new Trouble("The server does not answer.", { cause: error });
}

async function refusal(response) {
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  const { error } = isJson ? await response.json() : {};
  if (error?.code === "unauthorized") return needsKey();
  const message = error?.message ?? `The server answered ${response.status} ${response.statusText}`;
  return new Trouble(sentence(message), { code: error?.code, hint: HINTS[error?.code] });
}

function needsKey() {
  return new Trouble(key.get() ? "That is not the key." : "This server asks for a key.", { code: "unauthorized" });
}

/** The server's messages are written for logs, too: no capital, no full stop. */
export function sentence(message) {
  return message.replace(/^[a-z](?=[a-z]* )/, (letter) => letter.toUpperCase()).replace(/[^.!?…]$/, "$&.");
}

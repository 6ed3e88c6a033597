/** A recording sent to the server as a whole; answers with its transcript: `text`, `segments`, `duration`. */

import { request } from "./server.js";

export function transcribeFile(file, { language, signal }) {
  const body = new FormData();
  body.append("format", "verbose_json");
  if (language) body.append("language", language);
  body.append("file", file);
  return transcribe({ body, signal });
}

export function transcribeUrl(url, { language, signal }) {
  const body = JSON.stringify({ url, format: "verbose_json", ...(language && { language }) });
  return transcribe({ body, signal, headers: { "Content-Type": "application/json" } });
}

async function transcribe(init) {
  const response = await request("v1/transcriptions", { method: "POST", ...init });
  return response.json();
}

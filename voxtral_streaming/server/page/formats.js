/** A transcript as text: segments are `{start, end, text, words}`, with times in seconds. */

import { captions } from "./captions.js";

/** 0:07, 12:07 or 1:12:07. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

export function toText(segments) {
  return segments.map(({ text }) => `${text}\n`).join("");
}

export function toSrt(segments) {
  return captions(segments)
    .map((caption, i) => `${i + 1}\n${span(caption, ",")}\n${caption.text}\n`)
    .join("\n");
}

export function toVtt(segments) {
  return ["WEBVTT\n", ...captions(segments).map((caption) => `${span(caption, ".")}\n${escape(caption.text)}\n`)].join(
    "\n",
  );
}

/** 00:00:07,250 --> 00:00:09,000 */
function span({ start, end }, point) {
  return `${stamp(start, point)} --> ${stamp(end, point)}`;
}

function stamp(seconds, point) {
  const ms = Math.round(seconds * 1000);
  const [h, m, s] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, Math.floor(ms / 1000) % 60];
  return `${pad(h)}:${pad(m)}:${pad(s)}${point}${pad(ms % 1000, 3)}`;
}

function escape(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function pad(value, length = 2) {
  return String(value).padStart(length, "0");
}

/** One transcript on the page: a live session, or a recording. */

import { clock, toSrt, toText, toVtt } from "./formats.js";
import { languageName } from "./languages.js";

const WRITERS = { txt: toText, srt: toSrt, vtt: toVtt };
const ANSWERED_MS = 1500;

export class Take {
  #root;
  #open;
  #segments = [];
  #languages = new Set();
  #openedAt = 0;
  #duration;

  /** Stands on the page, below the others, as soon as it is made. */
  constructor(title) {
    this.title = title;
    this.#root = instance("take");
    this.#open = this.#part(".open");
    this.#part("h2").textContent = title;
    this.#part(".actions").onclick = ({ target }) => this.#act(target);
    this.#part('[data-action="copy"]').hidden = !navigator.clipboard;
    document.getElementById("takes").append(this.#root);
    follow(this.#root);
  }

  speechStarted({ seconds }) {
    this.#openedAt = seconds;
    this.partial({ stable: "", tentative: "…" });
  }

  partial({ stable, tentative }) {
    const keep = atBottom();
    this.#open.hidden = false;
    this.#open.querySelector("time").textContent = clock(this.#openedAt);
    this.#open.querySelector(".stable").textContent = stable;
    this.#open.querySelector(".tentative").textContent = tentative;
    if (keep) follow(this.#open);
  }

  /** A committed utterance, or a segment of a recording; it settles as a paragraph. */
  add({ start, end, text, language, words }) {
    const keep = atBottom();
    this.#open.hidden = true;
    if (!text) return;
    this.#segments.push({ start, end, text, words });
    if (language) this.#languages.add(language);
    this.#part(".lines").append(this.#line(start, text, language));
    this.#part(".actions").hidden = false;
    this.#showFacts();
    if (keep) follow(this.#root.lastElementChild);
  }

  /** Keeps the text of an utterance that was cut off before its final. */
  keepOpen(end) {
    if (this.#open.hidden) return;
    const text = this.#open.querySelector(".stable").textContent + this.#open.querySelector(".tentative").textContent;
    this.add({ start: this.#openedAt, end, text: text === "…" ? "" : text });
  }

  /** Nothing more will be added. */
  end(seconds) {
    this.#duration = seconds;
    this.#showFacts();
    if (!this.#segments.length && this.#part(".note").hidden) this.note("No speech was heard.");
  }

  /** Shows that a recording is being worked on, until `done`; `onCancel` is called on a press. */
  wait(onCancel) {
    const started = performance.now();
    const waiting = this.#part(".waiting");
    const tick = () => {
      waiting.querySelector("span").textContent = `Transcribing… ${clock((performance.now() - started) / 1000)}`;
    };
    tick();
    waiting.hidden = false;
    waiting.querySelector("button").onclick = onCancel;
    const timer = setInterval(tick, 1000);
    follow(waiting);
    return () => {
      clearInterval(timer);
      waiting.hidden = true;
    };
  }

  note(text) {
    this.#say(text, "status");
  }

  /** What went wrong, and what may be done about it. */
  fail({ message, hint = "" }) {
    this.#say(`${message}\n${hint}`.trim(), "alert");
  }

  #say(text, role) {
    const note = this.#part(".note");
    note.setAttribute("role", role);
    note.innerText = text;
    note.hidden = false;
    follow(note);
  }

  /** Scrolls to where reading begins. */
  showStart() {
    this.#root.scrollIntoView({ block: "start" });
  }

  #part(selector) {
    return this.#root.querySelector(selector);
  }

  #line(start, text, language = "") {
    const line = instance("line");
    line.querySelector("time").textContent = clock(start);
    line.querySelector("span").textContent = text;
    line.querySelector("span").lang = language ?? "";
    return line;
  }

  #showFacts() {
    const facts = [...this.#languages].map(languageName);
    if (this.#duration !== undefined) facts.unshift(clock(this.#duration));
    this.#part(".facts").textContent = facts.join(" · ");
  }

  async #act(button) {
    const { action } = button.dataset;
    if (action === "copy") {
      const copying = navigator.clipboard.writeText(toText(this.#segments));
      button.textContent = await copying.then(
        () => "Copied",
        () => "Not allowed",
      );
      setTimeout(() => (button.textContent = "Copy"), ANSWERED_MS);
    } else if (action) {
      save(`${this.title.replace(/\.\w+$/, "")}.${action}`, WRITERS[action](this.#segments));
    }
  }
}

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  link.download = name.replace(/[\\/:*?"<>|]+/g, "-");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 0);
}

function instance(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true);
}

function atBottom() {
  return innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
}

function follow(element) {
  element.scrollIntoView({ block: "end" });
}

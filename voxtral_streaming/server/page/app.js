/** The page: what is pressed, dropped and pasted, and what it sets going. One thing runs at a time. */

import { clock } from "./formats.js";
import { receive } from "./incoming.js";
import { offerLanguages } from "./languages.js";
import { Live } from "./live.js";
import { Meter } from "./meter.js";
import { Presence } from "./presence.js";
import { key, Trouble } from "./server.js";
import { connect } from "./session.js";
import { openMicrophone, openRecording } from "./sources.js";
import { Take } from "./take.js";
import { transcribeFile, transcribeUrl } from "./transcription.js";

const HINTS = {
  idle: "Press to speak",
  opening: "Waiting for the microphone…",
  live: "",
  finishing: "Writing down the last words…",
  transcribing: "Transcribing a recording…",
};
const BEHIND_S = 2; // is said

const $ = (id) => document.getElementById(id);
const meter = new Meter($("meter"));
const presence = new Presence(showServer);
let state = "idle";
let live = null;

function enter(next) {
  state = document.body.dataset.state = next;
  $("hint").textContent = HINTS[next];
  $("microphone").ariaLabel = next === "live" ? "Stop" : "Start the microphone";
  $("microphone").ariaDisabled = String(next !== "idle" && next !== "live");
  for (const id of ["sample", "choose", "paste", "language"]) $(id).disabled = next !== "idle";
  $("clock").hidden = next !== "live" && next !== "finishing";
}

function showServer(answer) {
  const isThere = !(answer instanceof Trouble);
  $("server").dataset.state = isThere ? "ready" : "away";
  $("server").firstElementChild.textContent = isThere ? answer.engine.model : answer.message;
  $("server").lastElementChild.textContent = isThere ? ` · ${answer.engine.name} engine` : "";
  $("key").firstElementChild.textContent = answer.message;
  $("key").hidden = answer.code !== "unauthorized";
  if (isThere) offerLanguages($("language"), answer.engine);
}

/** Says what went wrong where there is no transcript yet to say it in. */
function complain(error) {
  $("notice").hidden = false;
  $("notice").firstElementChild.textContent = error.message;
}

/** Runs one thing from press to end, with the controls set for it. */
async function run(first, work) {
  if (state !== "idle") return;
  $("notice").hidden = true;
  enter(first);
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    complain(error);
    presence.look();
  } finally {
    enter("idle");
  }
}

function listen(title, open) {
  return run("opening", async () => {
    const source = await open();
    const session = await reach(source);
    const awake = navigator.wakeLock?.request("screen").catch(() => null); // refused when the battery is low
    meter.start(source.level);
    live = new Live(source, session, newTake(title), { onProgress: showProgress, onFinish: () => enter("finishing") });
    enter("live");
    $("microphone").focus();
    try {
      const isInOrder = await live.run($("language").value);
      if (!isInOrder) presence.look();
    } finally {
      meter.stop();
      (await awake)?.release();
    }
  });
}

async function reach(source) {
  try {
    const session = await connect();
    showServer(session.server);
    return session;
  } catch (error) {
    await source.stop();
    throw error;
  }
}

function showProgress(seconds, behind, isAway) {
  $("clock").textContent = clock(seconds);
  if (isAway) $("hint").textContent = "Reconnecting…";
  else $("hint").textContent = behind > BEHIND_S ? `The server is ${Math.round(behind)} s behind` : HINTS[state];
}

function transcribe(title, send) {
  return run("transcribing", async () => {
    const take = newTake(title);
    const cancel = new AbortController();
    const stopWaiting = take.wait(() => cancel.abort());
    try {
      const transcript = await send({ language: $("language").value, signal: cancel.signal });
      transcript.segments.forEach((segment) => take.add(segment));
      take.end(transcript.duration);
      take.showStart();
    } catch (error) {
      if (error.name === "AbortError") take.note("Cancelled.");
      else if (error instanceof Trouble) take.fail(error);
      else throw error;
    } finally {
      stopWaiting();
    }
  });
}

function newTake(title) {
  $("welcome").hidden = true;
  return new Take(title);
}

async function transcribeFiles(files) {
  for (const file of files) await transcribe(file.name, (options) => transcribeFile(file, options));
}

function transcribeAddress(url) {
  const { host, pathname } = new URL(url);
  return transcribe(pathname.split("/").pop() || host, (options) => transcribeUrl(url, options));
}

$("microphone").onclick = () => {
  if (state === "live") live.finish();
  else listen("Microphone", openMicrophone);
};
$("sample").onclick = () => listen("Sense and Sensibility, read aloud", () => openRecording("page/sample.wav"));
$("choose").onclick = () => $("file").click();
$("file").onchange = () => {
  transcribeFiles([...$("file").files]);
  $("file").value = ""; // the same file may be chosen again
};
$("notice").lastElementChild.onclick = () => ($("notice").hidden = true);

$("key").onsubmit = (event) => {
  event.preventDefault();
  key.set($("key").querySelector("input").value);
  presence.look();
};

$("paste").onclick = () => showAddress($("address").hidden);
$("address").onsubmit = (event) => {
  event.preventDefault();
  transcribeAddress($("url").value);
  showAddress(false);
};

function showAddress(isShown, url = "") {
  $("url").value = url;
  $("address").hidden = !isShown;
  $("paste").ariaExpanded = String(isShown);
  if (isShown) $("url").focus();
}

receive($("drop"), {
  onFiles: transcribeFiles,
  onAddress: (url) => showAddress(true, url),
});

document.querySelector(".privacy").hidden = false;
document.querySelector(".privacy b").textContent = location.host;
enter("idle");
presence.look();

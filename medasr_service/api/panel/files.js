/** Files to transcribe: a queue, one at a time, while others wait; long ones by jobs, where the service has them. */
import { library } from "./library.js";
import { replaced } from "./replacements.js";
import { $, announce, endProblem, onClick } from "./page.js";
import { remember, withLosses } from "./changes.js";
import { explain, lookAtService } from "./service.js";
import { askForKey, keyProblem } from "./settings.js";
import { end, follow, newKey, note, unfinished } from "./jobs.js";
import { keepNow, restored } from "./keeping.js";
import { lengthOf } from "./sound.js";
import { changed, drop, isActive, makeEntry, onChange, select, state } from "./state.js";
import { ServiceError, submit, transcribe } from "./upload.js";
import { TEXTS } from "./texts.js";
import { isEdited, makeSegment, summary } from "./transcript.js";

/** @typedef {import("./transcript.js").Entry} Entry @typedef {import("./transcript.js").Segment} Segment */

const T = TEXTS.files;

/** @type {Entry|null} that is sent */
let current = null;
/** All that are worked on. @type {Map<Entry, AbortController>} */
const under = new Map();

/** Reports that are incomplete, by what is to complete them. @type {WeakMap<Entry, {entry: Entry, segments: Segment[]}>} */
const incomplete = new WeakMap();

/** @param {Iterable<File>} files */
function add(files) {
  const added = [...files].map((file) => makeEntry({ kind: "file", name: file.name, state: "waiting", audio: file }));
  if (!added.length) return;
  for (const entry of added) state.entries.unshift(entry);
  announce(T.added(added.map(({ name }) => name)));
  if (state.dictation === "off") select(added[0]);
  else changed();
}

/**
 * The recording once more, as a file; what there was stays, until an incomplete report is complete.
 * @param {Entry} entry @param {{decoding?: string, name?: string}} [how]
 */
export function transcribeAgain(entry, { decoding = "", name = TEXTS.again.allOf(entry.name) } = {}) {
  if (isActive(entry) || !(entry.audio || entry.job)) return;
  if (entry.job || (entry.kind === "file" && !entry.segments.length)) {
    entry.state = "waiting";
    return changed();
  }
  const again = makeEntry({ kind: "file", name, state: "waiting", audio: entry.audio });
  again.decoding = decoding;
  if (entry.state === "incomplete" && isAsHeard(entry)) incomplete.set(again, { entry, segments: entry.segments });
  state.entries.unshift(again);
  select(again);
}

/** Whether its text is what was heard in its recording, in the order of that. @param {Entry} entry */
function isAsHeard(entry) {
  const times = entry.segments.flatMap(({ words }) => words.map(({ start }) => start));
  const isInOrder = times.every((start, i) => !i || start >= times[i - 1]);
  return isInOrder && !isEdited(entry) && entry.segments.every(({ sound, command }) => !sound && !command);
}

/** The report that it was to complete, if nobody has changed it since. @param {Entry} made */
function complete(made) {
  const { entry, segments } = incomplete.get(made) ?? {};
  if (!entry || entry.segments !== segments || isActive(entry) || !state.entries.includes(entry)) return;
  remember(entry);
  const { state: whole, about, warnings, duration } = made;
  Object.assign(entry, { segments: made.segments, state: whole, about, warnings, duration, message: "", place: null });
  endProblem("live"); // of what was wrong while it was dictated, nothing is left
  const isShown = state.selected === made;
  drop(made);
  if (isShown) select(entry);
}

/** It goes from the page, and from the service. @param {Entry} entry */
export function leave(entry) {
  under.get(entry)?.abort();
  if (entry.job) end(entry.job);
  drop(entry);
}

/** @param {Entry} entry */
export function cancel(entry) {
  leave(entry);
  announce(T.cancelled(entry.name));
}

/** Jobs go on side by side; of the rest, the oldest file that waits. */
function next() {
  if (state.service !== "ready") return;
  const waiting = state.entries.filter((each) => each.state === "waiting" && each.notBefore <= Date.now());
  for (const entry of waiting) if (entry.job) work(entry, followed);
  const entry = waiting.findLast((each) => !each.job);
  if (!current && entry) send(entry);
}

/** @param {Entry} entry */
async function send(entry) {
  current = entry;
  await work(entry, run);
  current = null;
  changed();
}

/** @param {Entry} entry @param {(entry: Entry, signal: AbortSignal) => Promise<void>} doing */
async function work(entry, doing) {
  const abort = new AbortController();
  under.set(entry, abort);
  try {
    await doing(entry, abort.signal);
  } catch (error) {
    if (!abort.signal.aborted) await failed(entry, /** @type {Error} */ (error));
  }
  if (under.get(entry) === abort) under.delete(entry);
  changed();
}

/** @param {Entry} entry @param {Partial<Entry>} news */
function update(entry, news) {
  Object.assign(entry, news);
  changed();
}

/** @param {Entry} entry */
const watcherOf = (entry) => ({
  onSent: (/** @type {number} */ fraction) =>
    update(entry, fraction < 1 ? { state: "uploading", progress: fraction } : { state: "working", progress: null }),
  onSegment: (/** @type {Record<string, any>} */ event) =>
    update(entry, { state: "working", segments: [...entry.segments, replaced(toSegment(event))] }),
  onProgress: (/** @type {number} */ seconds, /** @type {number|null} */ duration) =>
    update(entry, { state: "working", progress: duration ? Math.min(1, seconds / duration) : null, duration: duration ?? 0 }),
});

/** @param {Entry} entry @param {AbortSignal} signal @throws {ServiceError} */
async function run(entry, signal) {
  update(entry, { state: "uploading", progress: 0, message: "", segments: [] });
  const asked = { file: /** @type {Blob} */ (entry.audio), name: entry.name, keywords: library.keywords, decoding: entry.decoding };
  const watcher = watcherOf(entry);
  const asJob = await isLong(asked.file);
  if (signal.aborted) return;
  if (!asJob) return finish(entry, await transcribe(asked, signal, watcher));
  const words = JSON.stringify([asked.keywords, asked.decoding]);
  if (entry.submission?.asked !== words) entry.submission = { key: newKey(), asked: words };
  const job = await submit(asked, entry.submission.key, signal, watcher.onSent);
  if (signal.aborted) return end(job);
  note(job, entry.created);
  update(entry, { job, state: "waiting", progress: null });
}

/** Whether it goes as a job. @param {Blob} file */
async function isLong(file) {
  if (!state.hasJobs) return false;
  const seconds = await lengthOf(file);
  return seconds === null ? file.size >= state.jobFrom.bytes : seconds >= state.jobFrom.seconds;
}

/** @param {Entry} entry @param {AbortSignal} signal @throws {ServiceError|Cancelled} */
async function followed(entry, signal) {
  update(entry, { state: "queued", progress: null, message: "", segments: [] });
  const onQueued = () => update(entry, { state: "queued" });
  try {
    finish(entry, await follow(entry.job, signal, { ...watcherOf(entry), onQueued }));
  } catch (error) {
    if (error instanceof ServiceError && error.status !== 401 && !signal.aborted) await settled(entry); // it will come to nothing
    throw error;
  }
  await settled(entry);
}

/** What was to come of a job has come: nothing of it is left at the service. @param {Entry} entry */
async function settled(entry) {
  const { job } = entry;
  update(entry, { job: "", submission: null });
  await keepNow();
  end(job);
}

/** @param {Entry} entry @param {Record<string, any>} done the last event */
function finish(entry, done) {
  const { model, notice } = done;
  const segments = withLosses(entry.segments, done.lost ?? []);
  const warnings = (done.warnings ?? []).map((/** @type {{message: string}} */ { message }) => message);
  update(entry, { state: "done", segments, warnings, duration: done.duration ?? entry.duration, about: { model, ...(notice ? { notice } : {}) } });
  endProblem("key");
  announce(T.transcribed(entry.name, summary(entry, state.threshold)));
  complete(entry);
}

/** @param {Record<string, any>} event @returns {Segment} */
function toSegment({ delta, segment, words }) {
  return makeSegment({ id: String(segment?.id), text: delta, raw: segment?.raw_text ?? delta, words: words ?? [] });
}

/** A job of a page that is gone. @param {string} job @param {Date} created */
function takeUp(job, created) {
  if (state.entries.some((entry) => entry.job === job)) return changed(); // kept with the user's consent
  const time = created.toLocaleTimeString(TEXTS.language, { hour: "2-digit", minute: "2-digit" });
  const entry = makeEntry({ kind: "file", name: T.fromBefore(time), state: "waiting", audio: null });
  state.entries.unshift(Object.assign(entry, { job, created }));
  if (state.selected) changed();
  else select(entry);
}

/** A service that is busy says when to come again. @param {Entry} entry @param {number} wait_s */
function later(entry, wait_s) {
  update(entry, { state: "waiting", progress: null, notBefore: Date.now() + wait_s * 1000 });
  setTimeout(changed, wait_s * 1000 + 1);
  lookAtService();
}

/** What had been transcribed stays. @param {Entry} entry @param {Error} error */
async function failed(entry, error) {
  if (error instanceof ServiceError && error.wait_s > 0) return later(entry, error.wait_s);
  let { message } = error;
  let status = error instanceof ServiceError ? error.status : 0;
  if (status === 0) {
    const why = await explain(); // a large upload that is refused looks like a lost connection
    if (why.status === 401) ({ status, message } = why);
  }
  entry.wantsKey = status === 401;
  if (entry.wantsKey) message = keyProblem();
  entry.message = message;
  entry.state = entry.segments.length ? "incomplete" : "failed";
  announce(T.failed(entry.name, message));
  if (status === 401) askForKey();
  if (status === 503 || status === 0) lookAtService();
}

function wireDrop() {
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dragging");
    if (!hasFiles(event)) return;
    event.preventDefault();
    add(event.dataTransfer?.files ?? []);
  });
}

onClick("choose", () => $("files").click());
$("files").addEventListener("change", () => {
  add($("files").files ?? []);
  $("files").value = ""; // the same file may be chosen again
});
wireDrop();
onChange(next);
restored.then(() => unfinished(takeUp));

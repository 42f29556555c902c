/** Files to transcribe: a queue, one at a time, while others wait. */
import { library } from "./library.js";
import { replaced } from "./replacements.js";
import { $, announce, endProblem, onClick } from "./page.js";
import { withLosses } from "./changes.js";
import { address, explain, lookAtService } from "./service.js";
import { askForKey, keyProblem } from "./settings.js";
import { changed, drop, isActive, makeEntry, onChange, select, state } from "./state.js";
import { Cancelled, ServiceError, transcribe } from "./upload.js";
import { TEXTS } from "./texts.js";
import { makeSegment, summary } from "./transcript.js";

/** @typedef {import("./transcript.js").Entry} Entry @typedef {import("./transcript.js").Segment} Segment */

const T = TEXTS.files;

/** @type {{entry: Entry, abort: AbortController}|null} */
let current = null;

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
 * The recording once more, as a file; what there was stays.
 * @param {Entry} entry @param {{decoding?: string, name?: string}} [how]
 */
export function transcribeAgain(entry, { decoding = "", name = TEXTS.again.allOf(entry.name) } = {}) {
  if (!entry.audio || isActive(entry)) return;
  if (entry.kind === "file" && !entry.segments.length) {
    entry.state = "waiting";
    return changed();
  }
  const again = makeEntry({ kind: "file", name, state: "waiting", audio: entry.audio });
  again.decoding = decoding;
  state.entries.unshift(again);
  select(again);
}

/** @param {Entry} entry */
export function cancel(entry) {
  if (current?.entry === entry) current.abort.abort();
  drop(entry);
  announce(T.cancelled(entry.name));
}

/** The oldest file that waits. */
async function next() {
  const entry = state.entries.findLast((each) => each.state === "waiting");
  if (current || !entry || state.service !== "ready") return;
  const abort = new AbortController();
  current = { entry, abort };
  try {
    await run(entry, abort.signal);
  } catch (error) {
    if (!(error instanceof Cancelled)) await failed(entry, /** @type {Error} */ (error));
  } finally {
    current = null;
  }
  changed();
}

/** @param {Entry} entry @param {AbortSignal} signal @throws {ServiceError|Cancelled} */
async function run(entry, signal) {
  const file = /** @type {Blob} */ (entry.audio);
  const { keywords } = library;
  const job = { url: address("v1/audio/transcriptions"), key: state.key, file, name: entry.name, signal, keywords, decoding: entry.decoding };
  const update = (/** @type {Partial<Entry>} */ news) => {
    Object.assign(entry, news);
    changed();
  };
  update({ state: "uploading", progress: 0, message: "", segments: [] });
  const done = await transcribe(job, {
    onSent: (fraction) => update(fraction < 1 ? { state: "uploading", progress: fraction } : { state: "working", progress: null }),
    onSegment: (event) => update({ state: "working", segments: [...entry.segments, replaced(toSegment(event))] }),
    onProgress: (seconds, duration) =>
      update({ state: "working", progress: duration ? Math.min(1, seconds / duration) : null, duration }),
  });
  const { model, notice } = done;
  const segments = withLosses(entry.segments, done.lost ?? []);
  const warnings = (done.warnings ?? []).map((/** @type {{message: string}} */ { message }) => message);
  update({ state: "done", segments, warnings, duration: done.duration ?? entry.duration, about: { model, ...(notice ? { notice } : {}) } });
  endProblem("key");
  announce(T.transcribed(entry.name, summary(entry, state.threshold)));
}

/** @param {Record<string, any>} event @returns {Segment} */
function toSegment({ delta, segment, words }) {
  return makeSegment({ id: String(segment?.id), text: delta, raw: segment?.raw_text ?? delta, words: words ?? [] });
}

/** What had been transcribed stays. @param {Entry} entry @param {Error} error */
async function failed(entry, error) {
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

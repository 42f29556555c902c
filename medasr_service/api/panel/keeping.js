/** What of the page's reports is kept in the vault, and how they come back from it. */
import { announce, $, onClick, setText, showProblem } from "./page.js";
import { wav, HEADER } from "./recorder.js";
import { changed, makeEntry, onChange, select, state } from "./state.js";
import { TEXTS } from "./texts.js";
import { canKeep, isKeeping, LOOK_MS, Vault } from "./vault.js";

/** @typedef {import("./transcript.js").Entry} Entry @typedef {import("./transcript.js").Segment} Segment @typedef {import("./transcript.js").Version} Version */

const T = TEXTS.keeping;
const PAUSE_MS = 1000; // between two looks at what has changed
const KINDS = ["report", "audio", "dictated", "blocks"];
const MAX_BYTES = 300_000_000; // of a sound

/** @type {Vault|null} */
let vault = null;
/** What is kept of each entry. @type {Map<Entry, {uid: string, segments: Segment[]|null, state: string, name: string, audio: Blob|null, dictated: Blob|null, blocks: number}>} */
const kept = new Map();

/** Versions share their segments: each is written once. @param {Entry} entry */
function written(entry) {
  /** @type {Map<Segment, number>} */
  const numbers = new Map();
  const numbered = (/** @type {Segment[]} */ segments) =>
    segments.map((segment) => {
      if (!numbers.has(segment)) numbers.set(segment, numbers.size);
      return numbers.get(segment);
    });
  const versions = (/** @type {Version[]} */ list) => list.map(({ segments, place }) => ({ place, segments: numbered(segments) }));
  const { audio: _audio, dictated: _dictated, taking: _taking, id: _id, past, future, segments, setAside, ...plain } = entry;
  const lists = { past: versions(past), future: versions(future), shown: numbered(segments), setAside: setAside && numbered(setAside) };
  return JSON.stringify({ ...plain, ...lists, table: [...numbers.keys()], fileName: entry.audio instanceof File ? entry.audio.name : "" });
}

/** @param {ArrayBuffer} data @returns {Partial<Entry> & {name: string, kind: "dictation"|"file"}} */
function read(data) {
  const { table, past, future, shown, setAside, created, fileName: _name, ...plain } = JSON.parse(new TextDecoder().decode(data));
  const segments = (/** @type {number[]} */ numbers) => numbers.map((number) => table[number]);
  const versions = (/** @type {{segments: number[], place: any}[]} */ list) => list.map((version) => ({ ...version, segments: segments(version.segments) }));
  return {
    ...plain,
    created: new Date(created),
    past: versions(past),
    future: versions(future),
    segments: segments(shown),
    setAside: setAside && segments(setAside),
  };
}

/** @param {Vault} into @param {Entry} entry */
async function keepOne(into, entry) {
  const before = kept.get(entry) ?? { uid: crypto.randomUUID(), segments: null, state: "", name: "", audio: null, dictated: null, blocks: 0 };
  kept.set(entry, before);
  const { uid } = before;
  if (before.segments !== entry.segments || before.state !== entry.state || before.name !== entry.name) {
    Object.assign(before, { segments: entry.segments, state: entry.state, name: entry.name });
    await into.put(`report/${uid}`, new TextEncoder().encode(written(entry)));
  }
  const keepSound = async (/** @type {"audio"|"dictated"} */ sound) => {
    const blob = entry[sound];
    if (!blob || blob === before[sound] || blob.size > MAX_BYTES) return;
    before[sound] = blob;
    before.blocks = 0;
    await into.put(`${sound}/${uid}`, await blob.arrayBuffer());
    await into.drop(`blocks/${uid}/`);
  };
  await Promise.all([keepSound("audio"), keepSound("dictated")]);
  const fresh = entry.taking?.slice(before.blocks) ?? [];
  if (!fresh.length) return;
  await into.put(`blocks/${uid}/${String(before.blocks).padStart(9, "0")}`, await new Blob(/** @type {BlobPart[]} */ (fresh)).arrayBuffer());
  before.blocks += fresh.length;
}

/** @type {Promise<void>|null} */
let looking = null;

/** Everything that has changed since the last look. */
function look() {
  looking ??= keepAll().finally(() => (looking = null));
  return looking;
}

async function keepAll() {
  if (!vault) return;
  try {
    const into = vault;
    await Promise.all(state.entries.map((entry) => keepOne(into, entry)));
    const gone = [...kept].filter(([entry]) => !state.entries.includes(entry));
    for (const [entry] of gone) kept.delete(entry);
    await Promise.all(gone.flatMap(([, { uid }]) => KINDS.map((kind) => into.drop(`${kind}/${uid}`))));
  } catch (error) {
    vault = null;
    showProblem(T.noRoom(/** @type {Error} */ (error).name));
    changed();
  }
}

/** The time limit counts while the page is open, too. What it has taken is not written again, unless it changes. */
async function expire() {
  await vault?.expire().catch((/** @type {Error} */ error) => showProblem(T.noRoom(error.name)));
}

/** @param {Vault} from @param {string} uid @param {ArrayBuffer} data @returns {Promise<Entry>} */
async function bring(from, uid, data) {
  const plain = read(data);
  const sound = async (/** @type {string} */ what) => (await from.all(`${what}/${uid}`))[0]?.data ?? null;
  const [audio, dictated] = [await sound("audio"), await sound("dictated")];
  const blocks = (await from.all(`blocks/${uid}/`)).map((block) => new Int16Array(block.data));
  const recorded = (/** @type {ArrayBuffer|null} */ bytes, /** @type {Int16Array[]} */ more) =>
    bytes || more.length ? wav([...(bytes ? [new Int16Array(bytes, HEADER)] : []), ...more]) : null;
  const isFile = plain.kind === "file";
  const entry = makeEntry({
    state: "done",
    ...plain,
    live: null,
    unfinished: "",
    taking: null,
    audio: isFile ? audio && new Blob([audio]) : recorded(audio, blocks),
    dictated: recorded(dictated, isFile ? blocks : []),
  });
  if (entry.state === "recording" || entry.state === "finishing") Object.assign(entry, { state: "incomplete", message: T.cutOff });
  if (["uploading", "queued", "working"].includes(entry.state)) Object.assign(entry, { state: "waiting", segments: [], progress: null });
  if (!isFile && entry.audio) entry.duration = (entry.audio.size - HEADER) / 32_000;
  kept.set(entry, { uid, segments: entry.segments, state: "", name: entry.name, audio: entry.audio, dictated: entry.dictated, blocks: 0 });
  return entry;
}

/** All that has changed, before what it came from goes. */
export async function keepNow() {
  await looking;
  await look();
}

/** What a crash, or a closed tab, had left. */
async function restore() {
  if (!(await isKeeping())) return;
  const from = await Vault.open();
  await from.expire();
  const reports = await from.all("report/");
  const entries = await Promise.all(reports.map(({ id, data }) => bring(from, id.slice("report/".length), data)));
  state.entries.push(...entries.toSorted((a, b) => b.created.getTime() - a.created.getTime()));
  vault = from;
  if (!entries.length) return changed();
  if (!state.selected) select(state.entries[0]);
  else changed();
  announce(T.restored(entries.length));
}

async function begin() {
  try {
    vault = await Vault.open();
  } catch (error) {
    showProblem(T.noRoom(/** @type {Error} */ (error).name));
  }
  changed();
  await look();
}

async function end() {
  const before = vault;
  vault = null;
  kept.clear();
  await before?.destroy();
  announce(T.removed);
  changed();
}

onChange(() => {
  $("keep").checked = vault !== null;
  $("keep-forget").hidden = vault === null;
  $("keep-row").hidden = !canKeep();
  setText($("keep-note"), vault ? T.on : T.off);
  if (vault && kept.size > state.entries.length) look(); // what was removed goes at once
});
$("keep").addEventListener("change", () => ($("keep").checked ? begin() : end()));
onClick("keep-forget", end);
setInterval(look, PAUSE_MS);
setInterval(expire, LOOK_MS);
document.addEventListener("visibilitychange", () => {
  look();
  expire(); // a page in the background, or of a machine that slept, has had no timer
});

/** Once what was kept is here again. */
export const restored = restore().catch((/** @type {Error} */ error) => showProblem(T.noRoom(error.name)));

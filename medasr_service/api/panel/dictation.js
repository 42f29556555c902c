/** Dictation: the microphone, the live session, and the button that starts and stops both. */
import { remember, replace, split } from "./changes.js";
import { closeEditor, isEditing, openEditor } from "./editor.js";
import { shown } from "./hotkey.js";
import { library } from "./library.js";
import { LiveSession } from "./live.js";
import { $, announce, clock, length, onClick, setText, showProblem } from "./page.js";
import { lengthOf_s, MicrophoneError, RATE, record, wav } from "./recorder.js";
import { explain, lookAtService, realtimeAddress, serviceText } from "./service.js";
import { askForKey, listMicrophones, microphone } from "./settings.js";
import { Speaking } from "./speaking.js";
import { changed, drop, isActive, makeEntry, onChange, select, state } from "./state.js";
import { TEXTS } from "./texts.js";
import { chunks, final, lost, makeSegment, MAX_WORDS, notation, spoken, summary } from "./transcript.js";

/** @typedef {import("./transcript.js").Entry} Entry @typedef {import("./transcript.js").Segment} Segment */

const T = TEXTS.dictation;
const TOUCH = matchMedia("(hover: none) and (pointer: coarse)").matches;
const hotkey = () => shown(library.preferences.hotkey);
const idleNote = () => {
  if (TOUCH) return T.awake;
  return library.preferences.pushToTalk ? T.hold(hotkey()) : T.startsAndStops(hotkey());
};
const QUIET_PEAK = 0.01; // below it for QUIET_S, nothing is heard
const QUIET_S = 4;
const LOUD_PEAK = 0.99;
const BEHIND_S = 5;
const RESUME_PAUSE_S = 1;
const RESUME_AT_END_S = 10; // once the user has stopped
const BEGINS = /^[^\s.,;:!?%)\]}]/; // what a space parts from the word before it


let takes = 0;

/** One dictation, from the key press that starts it to the last word: of a new report, or in one that is there. */
class Dictation {
  /** @param {import("./transcript.js").Entry|null} entry the report that it goes on in, at the place where the user is */
  constructor(entry) {
    this.isNew = entry === null;
    this.turn = ++takes;
    this.entry = entry ?? makeEntry({ kind: "dictation", name: newName(), state: "recording", audio: null });
    this.before = { state: this.entry.state, samples: Math.round(soundLength_s(this.entry) * RATE) };
    /** @type {Int16Array[]} */
    this.blocks = [];
    this.samples = 0;
    this.quiet_s = 0;
    this.loudest = 0;
    this.unspoken = "";
    /** @type {LiveSession|null} */
    this.session = null;
    /** @type {import("./recorder.js").Recorder|null} */
    this.recorder = null;
    this.live = false;
    this.from = 0; // the sample at which this session began
    this.isJoint = true; // what comes next begins, as if nothing were before it
    /** @type {{item: string, segment: Segment}|null} */
    this.last = null;
    /** @type {Map<string, string>} */
    this.texts = new Map(); // of each item
    /** @type {Promise<boolean>|null} */
    this.resuming = null;
    this.resume_until = Infinity;
    this.speaking = new Speaking(this, () => stop());
  }

  get seconds() {
    return this.samples / RATE;
  }

  /** The microphone first: while the browser asks whether it may be used, no session waits. @throws {Error} */
  async start() {
    this.recorder = await record({
      device: microphone(),
      onBlock: (samples, peak) => this.take(samples, peak),
      onEnd: () => this.unplugged(),
    });
    try {
      this.session = new LiveSession({ url: realtimeAddress(), key: state.key, keywords: library.keywords }, this);
      await this.session.ready();
    } catch (error) {
      await this.recorder.stop();
      throw error;
    }
    this.open();
    this.replay();
  }

  /** Where the text will grow. */
  open() {
    const { entry } = this;
    const { segments, index } = split(entry.segments, entry.place?.end ?? Infinity);
    Object.assign(entry, { segments, live: index, state: "recording", message: "", taking: this.blocks });
  }

  /** Goes on elsewhere in the report; what is selected there is replaced by what is said next. @param {import("./transcript.js").Place} place */
  goTo(place) {
    this.entry.place = place;
    Object.assign(this, { last: null, isNew: false, isJoint: true });
    this.open();
  }

  /** What was spoken since the session's beginning, while the service did not listen. */
  replay() {
    let at = 0;
    for (const block of this.blocks) {
      const said = block.subarray(Math.max(0, this.from - at));
      if (said.length) this.session?.append(said);
      at += block.length;
    }
    this.live = true;
  }

  /** Goes on in another session where the last one ended, as soon as there is one. @returns {Promise<boolean>} */
  async resume() {
    if (Date.now() >= this.resume_until) return false;
    await new Promise((resolve) => setTimeout(resolve, RESUME_PAUSE_S * 1000));
    try {
      const session = new LiveSession({ url: realtimeAddress(), key: state.key, keywords: library.keywords }, this);
      await session.ready();
      this.from += Math.round((this.session?.heard_s ?? 0) * RATE);
      this.isJoint = true;
      this.session = session;
    } catch {
      return this.resume(); // not yet
    }
    this.resuming = null;
    this.entry.message = "";
    endWaiting();
    this.replay();
    return true;
  }

  /** @param {Int16Array} samples @param {number} peak */
  take(samples, peak) {
    this.blocks.push(samples);
    this.samples += samples.length;
    if (this.live) this.session?.append(samples);
    this.quiet_s = peak < QUIET_PEAK ? this.quiet_s + samples.length / RATE : 0;
    this.loudest = Math.max(this.loudest, peak);
    this.speaking.tick((this.before.samples + this.samples) / RATE, peak, samples.length / RATE);
    showLevel(peak, this.seconds);
    setText($("microphone-note"), this.note());
  }

  note() {
    if (this.resuming) return T.goesOn;
    if (this.quiet_s > QUIET_S) return T.quiet;
    const behind_s = this.session?.behind_s ?? 0;
    if (behind_s > BEHIND_S) return T.slow(Math.round(behind_s));
    return TOUCH || library.preferences.pushToTalk ? T.recording : T.recordingUntil(hotkey());
  }

  unplugged() {
    showProblem(T.unplugged);
    stop();
  }

  async stop() {
    const { entry } = this;
    entry.state = "finishing";
    changed();
    await this.recorder?.stop();
    this.keepSound();
    this.resume_until = Date.now() + RESUME_AT_END_S * 1000;
    const finished = (!this.resuming || (await this.resuming)) && (await this.session?.finish());
    entry.message ||= finished ? "" : T.noEnd;
    const isWhole = finished && this.before.state !== "incomplete";
    entry.state = isWhole ? "done" : "incomplete";
    entry.about = { model: state.model, ...(state.notice ? { notice: state.notice } : {}), ...entry.about };
    entry.place = placeAt(entry, entry.live ?? entry.segments.length);
    Object.assign(entry, { live: null, unfinished: "", taking: null });
  }

  /** Behind what the entry has already. */
  keepSound() {
    const { entry, blocks } = this;
    if (entry.kind === "file") entry.dictated = wav(blocks, entry.dictated);
    else {
      entry.audio = wav(blocks, entry.audio);
      entry.duration = this.before.samples / RATE + this.seconds;
    }
  }

  /** Text that goes where the dictation is. @param {Segment[]} made */
  insert(made) {
    const { entry } = this;
    const at = entry.live ?? entry.segments.length;
    entry.segments = entry.segments.toSpliced(at, 0, ...made);
    entry.live = at + made.length;
  }

  /** Before the first words of a session: room between them and what stands around them. @param {string} text */
  begin(text) {
    const { entry } = this;
    if (!this.isJoint || !text) return;
    this.isJoint = false;
    if (this.last === null && !this.isNew) this.makeRoom();
    const at = entry.live ?? 0;
    const before = entry.segments.slice(0, at);
    if (/[^\s([{]$/.test(before.map(final).join("")) && BEGINS.test(text)) this.insert([joint()]);
  }

  /** What was selected is replaced; what follows keeps its distance. */
  makeRoom() {
    const { entry } = this;
    remember(entry);
    if (entry.place && entry.place.start < entry.place.end) replace(entry, entry.place, "", { joined: true });
    const at = entry.live ?? 0;
    const behind = entry.segments.slice(at);
    if (BEGINS.test(behind.map(final).join(""))) entry.segments = entry.segments.toSpliced(at, 0, joint(/^\S/.test(behind.map(({ raw }) => raw).join("")) ? " " : ""));
  }

  /** @param {string} item @param {string} text @param {string} notated @param {import("./transcript.js").Word[]} words */
  put(item, text, notated, words) {
    if (!text && !notated) return;
    this.begin(text);
    const { entry, last } = this;
    const at = entry.live ?? entry.segments.length;
    const isFirst = !entry.segments.slice(0, at).some(({ raw }) => raw);
    const given = { text, raw: isFirst ? notated.trimStart() : notated, words };
    const goesOn = last && last.item === item && entry.segments[at - 1] === last.segment && last.segment.edited === null;
    if (goesOn && (last.segment.words.length < MAX_WORDS || /^\S/.test(text))) {
      const { segment } = last;
      last.segment = { ...segment, text: segment.text + text, raw: segment.raw + notated, words: [...segment.words, ...words] };
      entry.segments = entry.segments.with(at - 1, last.segment);
    } else {
      const isSpaced = text.startsWith(" ") && /^$|\s$/.test(lastWritten(entry.segments, at));
      const segment = makeSegment({ id: this.idOf(item), sound: this.sound, ...given, edited: isSpaced ? text.trimStart() : null });
      this.last = { item, segment };
      this.insert([segment]);
    }
    this.texts.set(item, (this.texts.get(item) ?? "") + text);
  }

  /** Words of the dictation that the report does not show. @param {string} item @param {string} text @param {string} notated @param {import("./transcript.js").Word[]} words */
  putUnwritten(item, text, notated, words) {
    const isFirst = !this.entry.segments.slice(0, this.entry.live ?? 0).some(({ raw }) => raw);
    this.insert([makeSegment({ id: this.idOf(item), sound: this.sound, text, raw: isFirst ? notated.trimStart() : notated, words, edited: "", command: true })]);
    this.texts.set(item, (this.texts.get(item) ?? "") + text);
  }

  /** Of its own: services may count anew in each session. @param {string} item */
  idOf(item) {
    return `${this.turn}:${item}`;
  }

  /** @returns {0|1} */
  get sound() {
    return this.entry.kind === "file" ? 1 : 0;
  }

  /** In the time of the recording. @param {import("./transcript.js").Word[]|undefined} words */
  placed(words) {
    const by_s = (this.before.samples + this.from) / RATE;
    return by_s && words ? words.map((word) => later(word, by_s)) : (words ?? []);
  }

  /** @param {string} item @param {Record<string, any>} event */
  onDelta(item, event) {
    endWaiting();
    const words = this.placed(event.words);
    this.speaking.take(item, event.delta, rawOf(event, words, event.delta), words);
    this.entry.unfinished = this.speaking.heldText;
    this.unspoken += event.delta;
    if (/[.?!]\s*$/.test(this.unspoken)) {
      announce(this.unspoken.trim());
      this.unspoken = "";
    }
    grown();
  }

  /** What is heard and not yet sure: it may still change. @param {string} text */
  onHypothesis(text) {
    this.entry.unfinished = this.speaking.heldText + text;
    grown();
  }

  /** The service's last word on a turn: the deltas, joined, are its text. @param {string} item @param {Record<string, any>} event */
  onCompleted(item, event) {
    const { entry } = this;
    this.speaking.finish();
    const known = this.texts.get(item) ?? "";
    entry.unfinished = "";
    if (known !== event.transcript) {
      const own = entry.segments.filter(({ id }) => id === this.idOf(item));
      const isOurs = own.every(({ edited }) => edited === null);
      const words = this.placed(event.words);
      const notated = rawOf(event, words, event.transcript);
      if (isOurs) this.takeBack(item, own);
      if (isOurs) for (const part of chunks(event.transcript, notated, words)) this.put(item, part.text, part.raw, part.words);
      else this.put(item, event.transcript.slice(known.length), "", []);
    }
    grown();
  }

  /** @param {string} item @param {Segment[]} own */
  takeBack(item, own) {
    const { entry } = this;
    const gone = new Set(own);
    const before = entry.segments.slice(0, entry.live ?? 0).filter((segment) => gone.has(segment)).length;
    entry.segments = entry.segments.filter((segment) => !gone.has(segment));
    entry.live = (entry.live ?? 0) - before;
    this.texts.delete(item);
    this.last = null;
  }

  /** @param {string} item @param {string} message */
  onFailed(item, message) {
    const start = (this.before.samples + this.from) / RATE + (this.session?.heard_s ?? 0);
    const end = Math.max(start + 0.1, (this.before.samples + this.samples) / RATE);
    const space = this.entry.live ? " " : "";
    this.insert([lost(space, T.unheard, start, end, this.sound)]);
    this.entry.message = T.partFailed(message);
    grown();
  }

  /** @param {string} message */
  onKeywordsRefused(message) {
    showProblem(TEXTS.vocabulary.keywordsRefused(message));
  }

  /** @param {string} message */
  onError(message) {
    showProblem(message, "live");
  }

  /** Shown until the next word. @param {string} message */
  onAway(message) {
    showWaiting(message);
  }

  /** @param {string} reason */
  onLost(reason) {
    const why = reason ? ` (${reason})` : "";
    this.entry.message = T.lostBecause(why);
    showWaiting(T.lost);
    lookAtService();
    this.live = false;
    if (!this.resuming && this.entry.state === "recording") this.resuming = this.resume();
  }
}

const newName = () => T.name(new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }));

/** Of the sound that a dictation of this entry goes on. @param {Entry} entry */
const soundLength_s = ({ kind, audio, dictated }) => lengthOf_s(kind === "file" ? dictated : audio);

/** Room that nobody dictated; the model's notation mostly brings its own. */
const joint = (raw = "") => makeSegment({ id: "joint", text: " ", raw });

/** Behind a segment. @param {import("./transcript.js").Entry} entry @param {number} index @returns {import("./transcript.js").Place} */
function placeAt(entry, index) {
  const letters = entry.segments.slice(0, index).reduce((sum, segment) => sum + final(segment).length, 0);
  return { start: letters, end: letters };
}

/** The word, and the words that it is made of, so much later. @param {import("./transcript.js").Word} word @param {number} by_s @returns {import("./transcript.js").Word} */
function later(word, by_s) {
  const moved = { ...word, start: word.start + by_s, end: word.end + by_s };
  return word.parts ? { ...moved, parts: word.parts.map((part) => later(part, by_s)) } : moved;
}

/** The service's raw text; of one that tells none, its words. @param {Record<string, any>} event @param {import("./transcript.js").Word[]} words @param {string} text */
function rawOf(event, words, text) {
  return event.raw_text ?? (words.length ? spoken(words).map((word) => ` ${notation(word)}`).join("") : text);
}

/** The end of the text before a segment. @param {Segment[]} segments @param {number} at */
const lastWritten = (segments, at) => final(segments.slice(0, at).findLast(final) ?? makeSegment({}));

/** @type {Dictation|null} */
let current = null;

/** The report in which F2 goes on: the one that is shown, where the user is in its text. @returns {Entry|null} */
function target() {
  const { selected, view } = state;
  return selected?.place && !isActive(selected) && view === "report" ? selected : null;
}

/** @param {Entry|null} entry null: a new report */
async function dictate(entry) {
  if (state.dictation !== "off") return;
  if (state.service !== "ready") return showWaiting(T.notYet(serviceText()));
  showProblem("");
  $("audio").pause();
  state.dictation = "starting";
  changed();
  try {
    wasEditing = isEditing();
    closeEditor();
    const dictation = new Dictation(entry);
    await dictation.start();
    begin(dictation);
  } catch (error) {
    state.dictation = "off";
    changed();
    await refused(/** @type {Error} */ (error));
  }
}

let waiting = "";
let wasEditing = false;

/** A problem that goes away by itself. @param {string} message */
function showWaiting(message) {
  waiting = message;
  showProblem(message, "live");
}

function endWaiting() {
  if (waiting && $("problem-text").textContent === waiting) showProblem("");
  waiting = "";
}

/** @param {Dictation} dictation */
function begin(dictation) {
  current = dictation;
  state.dictation = "on";
  if (dictation.isNew) state.entries.unshift(dictation.entry);
  select(dictation.entry);
  announce(T.recording);
  keepAwake();
  listMicrophones();
}

/** @param {Error} error */
async function refused(error) {
  showLevel(0, 0);
  setText($("microphone-note"), idleNote());
  if (error instanceof MicrophoneError) return showProblem(error.message);
  const { status, message } = await explain();
  if (status === 401) return askForKey();
  showProblem(T.notStarted(message || error.message));
  if (status !== 200) lookAtService();
}

async function stop() {
  const dictation = current;
  if (!dictation || state.dictation !== "on") return;
  const { entry } = dictation;
  state.dictation = "finishing";
  await dictation.stop();
  current = null;
  state.dictation = "off";
  awake?.release().catch(() => {});
  showLevel(0, entry.duration);
  setText($("microphone-note"), idleNote());
  if (!dictation.last && !entry.segments.some(({ kind }) => kind)) nothing(dictation);
  changed();
  if (wasEditing && entry === state.selected) openEditor();
  announce(entry.state === "done" ? T.stopped(summary(entry, state.threshold)) : T.stoppedWith(entry.message));
}

/** No words: silence leaves nothing behind, and what made a sound is kept to be heard again. @param {Dictation} dictation */
function nothing({ entry, isNew, before, loudest, seconds }) {
  const told = T.nothingIn(length(seconds));
  if (!isNew) {
    Object.assign(entry, { state: before.state, message: "" });
    return showProblem(told);
  }
  if (entry.message && entry.state === "incomplete") return; // it says why
  if (loudest < QUIET_PEAK) {
    drop(entry);
    return showProblem(T.nothingHeard(told));
  }
  Object.assign(entry, { state: "incomplete", message: told });
}

export const toggleDictation = () => (state.dictation === "on" ? stop() : dictate(target()));
export const newReport = () => dictate(null);
export const startDictation = () => dictate(target());
export const stopDictation = () => stop();
/** What a dictation that is under way can do besides. @returns {Speaking|null} */
export const speaking = () => (state.dictation === "on" ? (current?.speaking ?? null) : null);
/** Speaks a part of a report again. @param {Entry} entry @param {import("./transcript.js").Place} place */
export function speakAgain(entry, place) {
  entry.place = place;
  return dictate(entry);
}

/** @type {WakeLockSentinel|null} */
let awake = null;

/** A phone must not fall asleep while one dictates. */
async function keepAwake() {
  awake = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
}

const caret = () => $("transcript").querySelector(".caret");

const SHARE = 4; // of the time that showing a word takes, what passes until the next is shown
const SLOW_MS = 16;
let shownUntil = 0; // a very long text takes long to lay out: words that come meanwhile are shown together
let showing = 0;

function grown() {
  const wait_ms = shownUntil - performance.now();
  if (wait_ms <= 0) showGrown();
  else showing ||= setTimeout(showGrown, wait_ms);
}

/** Keeps the end of a growing text in sight, unless the user has scrolled away from it. */
function showGrown() {
  clearTimeout(showing);
  showing = 0;
  const began = performance.now();
  const before = caret()?.getBoundingClientRect();
  const inSight = before && before.bottom > 0 && before.top < window.innerHeight;
  changed();
  if (inSight) caret()?.scrollIntoView({ block: "nearest" });
  const took_ms = performance.now() - began;
  shownUntil = took_ms > SLOW_MS ? performance.now() + SHARE * took_ms : 0;
}

/** @param {number} peak of full scale @param {number} seconds */
function showLevel(peak, seconds) {
  const decibels = 20 * Math.log10(Math.max(peak, 1e-4));
  $("level").style.transform = `scaleX(${Math.max(0, 1 + decibels / 60).toFixed(3)})`;
  $("level").dataset.loud = String(peak > LOUD_PEAK);
  setText($("clock"), clock(seconds));
}

function label() {
  if (state.dictation === "off") {
    if (state.service !== "ready") return T.notReady;
    const place = target()?.place;
    return !place ? T.start : place.start < place.end ? T.replaceSelection : T.goOnHere;
  }
  return { starting: T.starting, on: T.stop, finishing: T.finishing }[state.dictation];
}

onChange(() => {
  const { dictation, service } = state;
  $("record").dataset.on = String(dictation === "on");
  document.body.dataset.dictation = dictation;
  $("record").ariaDisabled = String(dictation === "starting" || dictation === "finishing" || (dictation === "off" && service !== "ready"));
  setText($("record-label"), label());
  if (dictation === "off") setText($("microphone-note"), idleNote());
  setText($("record-key"), hotkey());
  $("record").setAttribute("aria-keyshortcuts", library.preferences.hotkey.replace("Ctrl", "Control").replaceAll(/Key|Digit/g, ""));
  $("new-report").hidden = !(dictation === "off" && target());
  if (service === "ready" && dictation === "off") endWaiting();
});
onClick("record", toggleDictation);
onClick("new-report", newReport);

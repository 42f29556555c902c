/** Dictation: the microphone, the live session, and the button that starts and stops both. */
import { LiveSession } from "./live.js";
import { $, announce, clock, onClick, setText, showProblem } from "./page.js";
import { MicrophoneError, RATE, record, wav } from "./recorder.js";
import { explain, lookAtService, realtimeAddress, serviceText } from "./service.js";
import { askForKey, listMicrophones, microphone } from "./settings.js";
import { changed, makeEntry, onChange, select, state } from "./state.js";
import { notation, spoken, summary } from "./transcript.js";

const HOTKEY = "F2";
const TOUCH = matchMedia("(hover: none) and (pointer: coarse)").matches;
const IDLE_NOTE = TOUCH ? "Kept awake while you dictate." : `${HOTKEY} starts and stops, wherever you are in the page.`;
const QUIET_PEAK = 0.01; // below it for QUIET_S, nothing is heard
const QUIET_S = 4;
const LOUD_PEAK = 0.99;
const BEHIND_S = 5;
const RESUME_PAUSE_S = 1;
const RESUME_AT_END_S = 10; // once the user has stopped
const LOST =
  "The connection to the service was lost, and is being made again. What was transcribed stays, and the recording goes on here: if it is not made until you are done, transcribe the recording.";

/** One dictation, from the key press that starts it to the last word. */
class Dictation {
  constructor() {
    const name = `Dictation ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" })}`;
    this.entry = makeEntry({ kind: "dictation", name, state: "recording", audio: null });
    /** @type {Int16Array[]} */
    this.blocks = [];
    this.samples = 0;
    this.quiet_s = 0;
    this.unspoken = "";
    /** @type {LiveSession|null} */
    this.session = null;
    /** @type {import("./recorder.js").Recorder|null} */
    this.recorder = null;
    this.live = false;
    this.from = 0; // the sample at which this session began
    this.joint = ""; // its first item, where it goes on after another
    /** @type {Promise<boolean>|null} */
    this.resuming = null;
    this.resume_until = Infinity;
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
      this.session = new LiveSession({ url: realtimeAddress(), key: state.key }, this);
      await this.session.ready();
    } catch (error) {
      await this.recorder.stop();
      throw error;
    }
    this.replay();
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
      const session = new LiveSession({ url: realtimeAddress(), key: state.key }, this);
      await session.ready();
      this.from += Math.round((this.session?.heard_s ?? 0) * RATE);
      this.joint = this.entry.segments.length ? "?" : "";
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
    showLevel(peak, this.seconds);
    setText($("microphone-note"), this.note());
  }

  note() {
    if (this.resuming) return "The connection is lost. The recording goes on.";
    if (this.quiet_s > QUIET_S) return "Nothing is heard: is this the right microphone, and is it on?";
    const behind_s = this.session?.behind_s ?? 0;
    if (behind_s > BEHIND_S) return `The connection is slow: ${Math.round(behind_s)} s wait to be sent.`;
    return TOUCH ? "Recording." : `Recording. ${HOTKEY} stops.`;
  }

  unplugged() {
    showProblem("The microphone has gone. What was said until then is here.");
    stop();
  }

  async stop() {
    const { entry } = this;
    entry.state = "finishing";
    changed();
    await this.recorder?.stop();
    entry.duration = this.seconds;
    entry.audio = wav(this.blocks);
    this.resume_until = Date.now() + RESUME_AT_END_S * 1000;
    const finished = (!this.resuming || (await this.resuming)) && (await this.session?.finish());
    entry.state = finished ? "done" : "incomplete";
    entry.message ||= finished ? "" : "The end was not transcribed.";
    entry.about = { model: state.model, ...(state.notice ? { notice: state.notice } : {}) };
  }

  /** @param {string} item */
  segment(item) {
    let segment = this.entry.segments.find(({ id }) => id === item);
    if (!segment) this.entry.segments.push((segment = { id: item, text: "", raw: "", words: [], start: null }));
    return segment;
  }

  /** In the time of the recording, and with a space where a session goes on after another. @param {string} item @param {Record<string, any>} event */
  place(item, event) {
    if (!this.from) return event;
    if (this.joint === "?") this.joint = item;
    const words = event.words?.map((/** @type {any} */ word) => later(word, this.from / RATE));
    const placed = { ...event, ...(words ? { words } : {}) };
    const begins = item === this.joint && ("transcript" in event || !this.segment(item).text);
    if (!begins) return placed;
    for (const field of ["delta", "transcript"]) if (/^\S/.test(placed[field] ?? "")) placed[field] = ` ${placed[field]}`;
    const first = words?.[0];
    for (const each of first ? [first, spoken([first]).find(({ written }) => written)] : []) {
      if (/^\S/.test(each?.written ?? "")) each.written = ` ${each.written}`;
    }
    return placed;
  }

  /** @param {string} item @param {Record<string, any>} event */
  onDelta(item, event) {
    endWaiting();
    event = this.place(item, event);
    const segment = this.segment(item);
    spell(segment, segment.text + event.delta, [...segment.words, ...(event.words ?? [])]);
    this.unspoken += event.delta;
    if (/[.?!]\s*$/.test(this.unspoken)) {
      announce(this.unspoken.trim());
      this.unspoken = "";
    }
    grown();
  }

  /** The service's last word on a turn. @param {string} item @param {Record<string, any>} event */
  onCompleted(item, event) {
    event = this.place(item, event);
    const segment = this.segment(item);
    spell(segment, event.transcript, event.words ?? segment.words);
    grown();
  }

  /** @param {string} item @param {string} message */
  onFailed(item, message) {
    this.segment(item).error = message;
    this.entry.message = `A part could not be transcribed: ${message}`;
    grown();
  }

  /** @param {string} message */
  onError(message) {
    showProblem(message);
  }

  /** Shown until the next word. @param {string} message */
  onAway(message) {
    showWaiting(message);
  }

  /** @param {string} reason */
  onLost(reason) {
    const why = reason ? ` (${reason})` : "";
    this.entry.message = `The connection to the service was lost${why}. What had been transcribed is below; the rest is in the recording.`;
    showWaiting(LOST);
    lookAtService();
    this.live = false;
    if (!this.resuming && this.entry.state === "recording") this.resuming = this.resume();
  }
}

/** The word, and the words that it is made of, so much later. @param {import("./transcript.js").Word} word @param {number} by_s @returns {import("./transcript.js").Word} */
function later(word, by_s) {
  const moved = { ...word, start: word.start + by_s, end: word.end + by_s };
  return word.parts ? { ...moved, parts: word.parts.map((part) => later(part, by_s)) } : moved;
}

/** @param {import("./transcript.js").Segment} segment @param {string} text @param {import("./transcript.js").Word[]} words */
function spell(segment, text, words) {
  const raw = words.length ? spoken(words).map(notation).join(" ") : text;
  Object.assign(segment, { text, raw, words, start: words[0]?.start ?? null });
}

/** @type {Dictation|null} */
let current = null;

async function start() {
  if (state.dictation !== "off") return;
  if (state.service !== "ready") return showWaiting(`${serviceText()}. Dictation can start when it is ready.`);
  showProblem("");
  $("audio").pause();
  state.dictation = "starting";
  changed();
  try {
    const dictation = new Dictation();
    await dictation.start();
    begin(dictation);
  } catch (error) {
    state.dictation = "off";
    changed();
    await refused(/** @type {Error} */ (error));
  }
}

let waiting = "";

/** A problem that goes away by itself. @param {string} message */
function showWaiting(message) {
  waiting = message;
  showProblem(message);
}

function endWaiting() {
  if (waiting && $("problem-text").textContent === waiting) showProblem("");
  waiting = "";
}

/** @param {Dictation} dictation */
function begin(dictation) {
  current = dictation;
  state.dictation = "on";
  state.entries.unshift(dictation.entry);
  select(dictation.entry);
  announce("Recording.");
  keepAwake();
  listMicrophones();
}

/** @param {Error} error */
async function refused(error) {
  showLevel(0, 0);
  setText($("microphone-note"), IDLE_NOTE);
  if (error instanceof MicrophoneError) return showProblem(error.message);
  const { status, message } = await explain();
  if (status === 401) return askForKey(message);
  showProblem(`Dictation could not start: ${message || error.message}`);
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
  setText($("microphone-note"), IDLE_NOTE);
  changed();
  announce(entry.state === "done" ? `Stopped: ${summary(entry, state.threshold)}.` : `Stopped. ${entry.message}`);
}

const toggle = () => (state.dictation === "on" ? stop() : start());

/** @type {WakeLockSentinel|null} */
let awake = null;

/** A phone must not fall asleep while one dictates. */
async function keepAwake() {
  awake = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
}

const caret = () => $("transcript").querySelector(".caret");

/** Keeps the end of a growing text in sight, unless the user has scrolled away from it. */
function grown() {
  const before = caret()?.getBoundingClientRect();
  const inSight = before && before.bottom > 0 && before.top < window.innerHeight;
  changed();
  if (inSight) caret()?.scrollIntoView({ block: "nearest" });
}

/** @param {number} peak of full scale @param {number} seconds */
function showLevel(peak, seconds) {
  const decibels = 20 * Math.log10(Math.max(peak, 1e-4));
  $("level").style.transform = `scaleX(${Math.max(0, 1 + decibels / 60).toFixed(3)})`;
  $("level").dataset.loud = String(peak > LOUD_PEAK);
  setText($("clock"), clock(seconds));
}

function label() {
  if (state.dictation === "off") return state.service === "ready" ? "Start dictation" : "Not ready yet";
  return { starting: "Starting …", on: "Stop", finishing: "Finishing …" }[state.dictation];
}

onChange(() => {
  const { dictation, service } = state;
  $("record").dataset.on = String(dictation === "on");
  $("record").ariaDisabled = String(dictation === "starting" || dictation === "finishing" || (dictation === "off" && service !== "ready"));
  setText($("record-label"), label());
  if (service === "ready" && dictation === "off") endWaiting();
});
setText($("microphone-note"), IDLE_NOTE);
onClick("record", toggle);
document.addEventListener("keydown", (event) => {
  if (event.key !== HOTKEY || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (!event.repeat && !$("settings").open) toggle();
});

/** The state of the page, and nothing of it elsewhere: whoever shows a part of it listens to its changes. */

/** @typedef {import("./transcript.js").Entry} Entry @typedef {import("./report.js").View} View */

export const state = {
  /** @type {"unknown"|"starting"|"ready"|"lost"} */
  service: "unknown",
  model: "",
  notice: "",
  hasDocs: false,
  hasJobs: false,
  /**
   * From where on a file goes as a job: what is shorter is transcribed before anyone closes the page, or a proxy gives
   * up (100 s), and needs no second request. Bytes count where the browser cannot say the length: it opens what people
   * have but for formats of dictation devices, and 32 kbit/s is much for those.
   */
  jobFrom: { seconds: 300, bytes: 1_200_000 },
  key: "",
  /** @type {string[]} what the service can do: "lm" where it has a language model */
  decodings: [],
  /** @type {Entry[]} newest first */
  entries: [],
  /** @type {Entry|null} */
  selected: null,
  /** @type {View} */
  view: "report",
  lowConfidence: 0.7, // the service's, until it has told its own
  /** @type {number|null} */
  chosenThreshold: null,
  /** Words that are less probable are marked. */
  get threshold() {
    return this.chosenThreshold ?? this.lowConfidence;
  },
  /** @type {"off"|"starting"|"on"|"finishing"} */
  dictation: "off",
};

/** @type {(() => void)[]} */
const listeners = [];

/** @param {() => void} listener */
export function onChange(listener) {
  listeners.push(listener);
}

export function changed() {
  for (const listener of listeners) listener();
}

let lastId = 0;

/** @param {Pick<Entry, "kind"|"name"|"state"|"audio">} given @returns {Entry} */
export function makeEntry(given) {
  return {
    id: ++lastId,
    created: new Date(),
    progress: null,
    message: "",
    duration: 0,
    segments: [],
    unfinished: "",
    live: null,
    past: [],
    future: [],
    place: null,
    setAside: null,
    dictated: null,
    taking: null,
    saved: false,
    about: {},
    warnings: [],
    job: "",
    submission: null,
    decoding: "",
    notBefore: 0,
    wantsKey: false,
    ...given,
  };
}

/** @param {Entry} entry */
export const isActive = (entry) => ["waiting", "uploading", "queued", "working", "recording", "finishing"].includes(entry.state);

/** @param {Entry|null} entry */
export function select(entry) {
  if (entry !== state.selected) state.view = "report";
  state.selected = entry;
  changed();
}

/** The next one is shown, where there is one. @param {Entry} entry */
export function drop(entry) {
  const at = state.entries.indexOf(entry);
  state.entries.splice(at, 1);
  if (entry === state.selected) select(state.entries[at] ?? state.entries[at - 1] ?? null);
  else changed();
}

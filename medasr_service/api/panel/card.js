/** The transcript that is shown: its title, views, marks and tools. */
import { transcribeAgain } from "./files.js";
import { $, announce, onClick, setText, showProblem } from "./page.js";
import { Player } from "./player.js";
import { stateText } from "./recordings.js";
import { Report } from "./report.js";
import { changed, isActive, onChange, state } from "./state.js";
import { hasText, isEdited, shownRuns, summary } from "./transcript.js";
import { Wave } from "./wave.js";
import { hideWord, showWord } from "./word.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.card;

/** @typedef {import("./transcript.js").Entry} Entry */

const player = new Player($("audio"), {
  onTime: (seconds) => text.follow(seconds, sound),
  onError: () => showProblem(T.cannotPlay),
});
const text = new Report($("transcript"), {
  onPlay: play,
  onWord: announce,
  onPlace(start, end) {
    const { selected, dictation } = state;
    if (!selected || (selected.place?.start === start && selected.place.end === end) || dictation !== "off") return;
    selected.place = { start, end };
    changed();
  },
});
/** @type {Entry|null} */
let loaded = null;
/** @type {Entry["segments"]|undefined} */
let loadedSegments;
/** @type {0|1} */
let sound = 0; // of the two that an entry may have, the one that the player has

/** @param {import("./transcript.js").Piece} piece @param {number} start letters before it */
function play(piece, start) {
  const entry = state.selected;
  if (!entry || piece.start === null || piece.end === null) return;
  const [from, until] = [piece.start, piece.end];
  load(isActive(entry) ? null : entry, piece.sound);
  const hear = () => player.play(from, until);
  hear();
  if (isActive(entry)) return;
  const place = { start, end: start + piece.text.trim().length };
  const listener = { onHear: hear, onFrom: () => player.play(from, Infinity) };
  showWord({ entry, piece, place, sound: player.blob }, listener);
  const pieces = shownRuns(entry).flatMap((run) => (run.kind === "same" && run.piece?.sound === piece.sound ? [run.piece] : []));
  if (player.blob) wave.show(player.blob, piece, pieces);
}

function leaveWord() {
  hideWord();
  wave.hide();
}

const wave = new Wave($("wave"), (seconds) => player.play(seconds, Infinity));

/** @param {Entry|null} entry @param {0|1} wanted */
function load(entry, wanted) {
  sound = wanted;
  player.load((wanted && entry?.dictated) || (entry?.audio ?? null));
}

/** @param {Entry|null} entry */
function emptyText(entry) {
  if (!entry) return T.nothing;
  if (entry.state === "recording") return T.speak;
  if (entry.state === "failed" || entry.state === "incomplete") return "";
  return isActive(entry) ? T.appears : T.noWords;
}

const percent = (/** @type {number} */ share) => `${Math.round(share * 100)} %`;

/** @param {Entry|null} entry */
function showFacts(entry) {
  const facts = [];
  if (entry) facts.push([stateText(entry), hasText(entry) && summary(entry, state.threshold)].filter(Boolean).join(" · "));
  setText($("report-facts"), facts.join(""));
  setText($("warnings"), entry?.warnings.join(" ") ?? "");
  $("warnings").hidden = !entry?.warnings.length;
  $("edited-mark").hidden = !entry || !isEdited(entry);
}

/** @param {Entry|null} entry */
function showTrouble(entry) {
  $("incomplete").hidden = !entry?.message || isActive(entry);
  setText($("incomplete-text"), entry?.message ?? "");
  setText($("again"), entry?.kind === "dictation" ? T.transcribe : T.tryAgain);
  $("again").hidden = !(entry?.audio || entry?.job) || isActive(entry);
}

/** @param {Entry|null} entry */
function showTools(entry) {
  const isShown = Boolean(entry && hasText(entry)) && $("editor").hidden;
  const isSettled = Boolean(entry && !isActive(entry));
  const hasEdits = Boolean(entry && isEdited(entry));
  $("tools").hidden = $("legend").hidden = !isShown;
  $("original-view").hidden = !hasEdits;
  for (const input of views()) input.checked = input.value === state.view;
  $("edit").hidden = !isSettled || state.view !== "report";
  $("restore").hidden = !hasEdits && entry?.setAside == null;
  setText($("restore"), hasEdits ? T.restore : T.bringBack);
  $("save-audio").hidden = entry?.kind !== "dictation" || !entry.audio;
  $("legend-edited").hidden = !hasEdits || state.view !== "report";
}

/** @returns {HTMLInputElement[]} */
const views = () => [...document.querySelectorAll(/** @type {"input"} */ ('input[name="view"]'))];

onChange(() => {
  const entry = state.selected;
  if (state.view === "original" && !(entry && isEdited(entry))) state.view = "report";
  text.show(entry, state.view, state.threshold);
  $("transcript").dataset.empty = emptyText(entry);
  setText($("report-title"), entry?.name ?? T.title);
  showFacts(entry);
  showTrouble(entry);
  showTools(entry);
  setText($("threshold").options[0], percent(state.lowConfidence));
  const isHeard = entry && !isActive(entry) && entry.state !== "failed";
  if (entry !== loaded || entry?.segments !== loadedSegments) leaveWord();
  if (entry !== loaded) sound = 0;
  [loaded, loadedSegments] = [entry, entry?.segments];
  load(isHeard ? entry : null, sound);
  $("player").hidden = !player.blob || !$("editor").hidden;
});
$("speed").addEventListener("change", () => player.setSpeed(Number($("speed").value)));
onClick("again", () => state.selected && transcribeAgain(state.selected));
for (const input of views()) {
  input.addEventListener("change", () => {
    state.view = /** @type {import("./report.js").View} */ (input.value);
    changed();
  });
}
$("threshold").addEventListener("change", () => {
  const { value } = $("threshold");
  state.chosenThreshold = value === "" ? null : Number(value);
  changed();
});

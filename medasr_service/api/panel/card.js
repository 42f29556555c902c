/** The transcript that is shown: its title, views, marks and tools. */
import { transcribeAgain } from "./files.js";
import { $, announce, onClick, setText, showProblem } from "./page.js";
import { Player } from "./player.js";
import { stateText } from "./recordings.js";
import { Report } from "./report.js";
import { changed, isActive, onChange, state } from "./state.js";
import { original, summary } from "./transcript.js";

/** @typedef {import("./transcript.js").Entry} Entry */

const player = new Player($("audio"), {
  onTime: (seconds) => text.follow(seconds),
  onError: () => showProblem("This browser cannot play this recording. Its text is not affected."),
});
const text = new Report($("transcript"), { onPlay: (start, end) => player.play(start, end), onWord: announce });

/** @param {Entry|null} entry */
function emptyText(entry) {
  if (!entry) return "Nothing yet. Start a dictation, or choose a recording.";
  if (entry.state === "recording") return "Speak: the text appears here.";
  if (entry.state === "failed" || entry.state === "incomplete") return "";
  return isActive(entry) ? "The text appears here as it is recognised." : "No words were recognised.";
}

/** @param {Entry|null} entry */
function showFacts(entry) {
  const facts = [];
  if (entry) facts.push([stateText(entry), original(entry) && summary(entry, state.threshold)].filter(Boolean).join(" · "));
  setText($("report-facts"), facts.join(""));
  setText($("warnings"), entry?.warnings.join(" ") ?? "");
  $("warnings").hidden = !entry?.warnings.length;
  $("edited-mark").hidden = entry?.edited == null;
}

/** @param {Entry|null} entry */
function showTrouble(entry) {
  $("incomplete").hidden = !entry?.message || isActive(entry);
  setText($("incomplete-text"), entry?.message ?? "");
  setText($("again"), entry?.kind === "dictation" ? "Transcribe the recording" : "Try again");
  $("again").hidden = !entry?.audio || isActive(entry);
}

/** @param {Entry|null} entry */
function showTools(entry) {
  const isShown = Boolean(entry && original(entry)) && $("editor").hidden;
  const isSettled = Boolean(entry && !isActive(entry));
  const isEdited = entry?.edited != null;
  $("tools").hidden = $("legend").hidden = !isShown;
  $("original-view").hidden = !isEdited;
  for (const input of views()) input.checked = input.value === state.view;
  $("edit").hidden = !isSettled || state.view !== "report";
  $("restore").hidden = !isEdited && entry?.setAside == null;
  setText($("restore"), isEdited ? "Restore original" : "Bring back my edits");
  $("save-audio").hidden = entry?.kind !== "dictation" || !entry.audio;
  $("legend-edited").hidden = !isEdited || state.view !== "report";
}

/** @returns {HTMLInputElement[]} */
const views = () => [...document.querySelectorAll(/** @type {"input"} */ ('input[name="view"]'))];

onChange(() => {
  const entry = state.selected;
  if (state.view === "original" && entry?.edited == null) state.view = "report";
  text.show(entry, state.view, state.threshold);
  $("transcript").dataset.empty = emptyText(entry);
  setText($("report-title"), entry?.name ?? "Transcript");
  showFacts(entry);
  showTrouble(entry);
  showTools(entry);
  player.load(entry && !isActive(entry) && entry.state !== "failed" ? entry.audio : null);
});
onClick("again", () => state.selected && transcribeAgain(state.selected));
for (const input of views()) {
  input.addEventListener("change", () => {
    state.view = /** @type {import("./report.js").View} */ (input.value);
    changed();
  });
}
$("threshold").addEventListener("change", () => {
  state.threshold = Number($("threshold").value);
  changed();
});

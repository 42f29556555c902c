/** What acts from anywhere in the page: the key that starts and stops, F8 to the next field, pedals and dictation microphones. */
import { newReport, speaking, startDictation, stopDictation, toggleDictation } from "./dictation.js";
import { openEditor } from "./editor.js";
import { fields, nextField, previousField } from "./fields.js";
import { wireHotkey } from "./hotkey.js";
import { $, announce, onClick } from "./page.js";
import { wirePedals } from "./pedal.js";
import { isActive, onChange, state } from "./state.js";
import { TEXTS } from "./texts.js";
import { report } from "./transcript.js";

const FIELD_KEY = "F8";

/** By voice while one dictates; else in the editor, with the field selected. @param {1|-1} by */
function toField(by) {
  const listening = speaking();
  if (listening) return listening.press(by > 0 ? "nextField" : "previousField");
  const { selected, view } = state;
  if (!selected || isActive(selected) || view !== "report") return;
  const { start, end } = selected.place ?? { start: 0, end: 0 };
  const text = report(selected);
  const place = by > 0 ? nextField(text, end) : previousField(text, start);
  if (!place) return announce(TEXTS.commands.noField);
  selected.place = place;
  openEditor(); // also where it is open: it goes to the place
}

const next = () => toField(1);
const previous = () => toField(-1);
wireHotkey({ start: startDictation, stop: stopDictation, toggle: toggleDictation, fresh: newReport });
wirePedals({ start: startDictation, stop: stopDictation, toggle: toggleDictation, nextField: next, previousField: previous, play });

function play() {
  const audio = $("audio");
  if (state.dictation !== "off" || audio.hidden) return;
  if (audio.paused) audio.play().catch(() => {});
  else audio.pause();
}

document.addEventListener("keydown", (event) => {
  if (event.key !== FIELD_KEY || event.altKey || event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  toField(event.shiftKey ? -1 : 1);
});
onChange(() => {
  const { selected } = state;
  $("next-field").hidden = !selected || state.view !== "report" || !fields(report(selected)).length;
});
onClick("next-field", next);

/** The panel. Each module shows its part of the state, and wires its own controls. */
import "./settings.js";
import "./dictation.js";
import "./files.js";
import "./recordings.js";
import "./editor.js"; // before the card, which asks whether it is open
import "./card.js";
import "./naming.js";
import "./saving.js";
import "./vocabulary.js";
import "./passages.js";
import "./keeping.js";
import "./controls.js";
import "./inserting.js";
import "./again.js";
import "./chosen.js"; // behind the card, whose text it marks
import "./leaving.js";
import { $, onClick, showProblem } from "./page.js";
import { checkKey } from "./key.js";
import { lookAtService } from "./service.js";
import { changed, onChange } from "./state.js";

onClick("problem-close", () => {
  showProblem("");
  $("record").focus();
});
onChange(checkKey);
changed();
lookAtService();

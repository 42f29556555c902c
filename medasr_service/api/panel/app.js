/**
 * The panel. Each module shows its part of the state, and wires its own controls.
 *
 * state.js      what the page knows; whoever shows a part of it listens to its changes
 * transcript.js what the model wrote and the user made of it, in segments; changes.js: each change, and back again
 * card.js       the report that is shown: report.js its text, editor.js its field, naming.js its name, player.js and
 *               wave.js its sound (sound.js: samples), word.js one word of it (readings.js: what else it may be)
 * dictation.js  microphone (recorder.js, capture.js) to live session (live.js) to text; commands, templates and
 *               vocabulary have modules of their own, settings.js the dialog in which they are set
 * files.js      files to transcribe, upload.js one of them, jobs.js a long one, recordings.js the list of all
 * saving.js     what leaves by a button, leaving.js what leaves by hand; docx.js, fhir.js, subtitles.js: the kinds
 * keeping.js    what the browser keeps where its user says so, in vault.js; portable.js: what is the user's own, in one file
 * service.js    where the service is, key.js whether it takes the key; texts.js: what the page says
 * vendor/       libraries, with licence and version; differences.js, layout.js, fields.js, page.js: pure, and small
 */
import "./settings.js";
import "./dictation.js";
import "./files.js";
import "./recordings.js";
import "./editor.js"; // before the card, which asks whether it is open
import "./card.js";
import "./naming.js";
import "./keeping.js";
import "./saving.js";
import "./vocabulary.js";
import "./passages.js";
import "./portable.js";
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

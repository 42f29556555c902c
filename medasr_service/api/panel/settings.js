/** The settings: the API key and the microphone; other modules fill their own sections. The key stays in memory, in the
 * tab's storage only where the user says so. */
import { $, onClick, setText, showProblem } from "./page.js";
import { changed, state } from "./state.js";
import { tabs } from "./tabs.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.settings;
const KEY_STORE = "medasr-api-key";

state.key = sessionStorage.getItem(KEY_STORE) ?? "";
const show = tabs($("settings-tabs"));

/** @type {(() => void)[]} */
const sections = [];

/** Whoever has a section fills it each time that the settings open. @param {() => void} fill */
export function onSettings(fill) {
  sections.push(fill);
}

/** At a section of its own. @param {string} tab */
export function openSettings(tab) {
  show(tab);
  open();
}

/** @param {string} [note] */
function open(note = T.keyNote) {
  listMicrophones();
  $("key").value = state.key;
  $("key-remember").checked = sessionStorage.getItem(KEY_STORE) !== null;
  setText($("key-note"), note);
  for (const fill of sections) fill();
  $("settings").showModal();
}

/** In words for who uses the page: the service's own are for programs. @returns {string} */
export const keyProblem = () => (state.key ? TEXTS.key.wrong : TEXTS.key.missing);

export function askForKey() {
  const message = keyProblem();
  showProblem(message, "key");
  show("tab-service");
  if (!$("settings").open) open(message);
  $("key").focus();
}

function keep() {
  state.key = $("key").value.trim();
  if (state.key && $("key-remember").checked) sessionStorage.setItem(KEY_STORE, state.key);
  else sessionStorage.removeItem(KEY_STORE);
  changed();
}

export const microphone = () => $("microphone").value;

/** Browsers name them once the microphone has been used. */
export async function listMicrophones() {
  const chosen = microphone();
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const inputs = devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default");
  const options = inputs.map(({ deviceId, label }) => new Option(label || T.microphoneNameless, deviceId, false, deviceId === chosen));
  $("microphone").replaceChildren(new Option(T.microphoneDefault, ""), ...options);
}

onClick("open-settings", () => open());
onClick("settings-close", () => {
  keep();
  $("settings").close();
});
// Before the dialog goes: "close" comes a moment after it, and the page may be loaded anew in that moment.
for (const leaving of ["submit", "cancel", "close"]) $("settings").addEventListener(leaving, keep);

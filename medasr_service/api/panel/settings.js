/** The API key and the microphone. The key stays in memory; in the tab's storage only where the user says so. */
import { $, onClick, setText, showProblem } from "./page.js";
import { state } from "./state.js";

const KEY_STORE = "medasr-api-key";
const KEY_NOTE = "Needed only where the service asks for one. Kept in memory until the page is closed.";

state.key = sessionStorage.getItem(KEY_STORE) ?? "";

/** @param {string} [note] */
function open(note = KEY_NOTE) {
  listMicrophones();
  $("key").value = state.key;
  $("key-remember").checked = sessionStorage.getItem(KEY_STORE) !== null;
  setText($("key-note"), note);
  $("settings").showModal();
}

/** @param {string} message the service's own */
export function askForKey(message) {
  showProblem(message);
  if (!$("settings").open) open(message);
  $("key").focus();
}

function keep() {
  state.key = $("key").value.trim();
  if (state.key && $("key-remember").checked) sessionStorage.setItem(KEY_STORE, state.key);
  else sessionStorage.removeItem(KEY_STORE);
}

export const microphone = () => $("microphone").value;

/** Browsers name them once the microphone has been used. */
export async function listMicrophones() {
  const chosen = microphone();
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const inputs = devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default");
  const options = inputs.map(({ deviceId, label }) => new Option(label || "Microphone", deviceId, false, deviceId === chosen));
  $("microphone").replaceChildren(new Option("The browser's default", ""), ...options);
}

onClick("open-settings", () => open());
// Before the dialog goes: "close" comes a moment after it, and the page may be loaded anew in that moment.
for (const leaving of ["submit", "cancel", "close"]) $("settings").addEventListener(leaving, keep);

/** The key that starts and stops a dictation, wherever one is in the page; or records only while it is held. */
import { change, library } from "./library.js";
import { $, setText } from "./page.js";
import { onSettings } from "./settings.js";
import { onChange, state } from "./state.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.hotkey;
const ALONE = /^(F([1-9]|1\d|2[0-4])|Pause|ScrollLock|Insert|ContextMenu|Media\w+|Launch\w+|Browser\w+)$/;
const NEVER = /^(Control|Shift|Alt|Meta|OS|AltGraph|CapsLock|Tab|Escape|Enter|Unidentified)/;

/** "Ctrl+Shift+KeyD". @param {KeyboardEvent} event */
function named({ code, ctrlKey, altKey, shiftKey, metaKey }) {
  const held = [ctrlKey && "Ctrl", altKey && "Alt", shiftKey && "Shift", metaKey && "Meta"].filter(Boolean);
  return [...held, code].join("+");
}

/** As people write it. @param {string} hotkey */
export const shown = (hotkey) => hotkey.replaceAll("+", " ").replaceAll(/\b(Key|Digit)(?=\w$)/g, "");

/** A key that neither writes nor moves the focus. @param {KeyboardEvent} event */
function isFree(event) {
  if (NEVER.test(event.code)) return false;
  return ALONE.test(event.code) ? !event.shiftKey : event.ctrlKey || event.altKey;
}

let isHeld = false;
let isPushed = false; // the dictation is one that lasts while the key is held

/** @param {{start: () => unknown, stop: () => unknown, toggle: () => unknown, fresh: () => unknown}} dictation `fresh`: with Shift, a new report */
export function wireHotkey({ start, stop, toggle, fresh }) {
  document.addEventListener("keydown", (event) => {
    const { hotkey, pushToTalk } = library.preferences;
    const isFresh = event.shiftKey && named(event) === withShift(hotkey);
    if ((named(event) !== hotkey && !isFresh) || $("settings").open) return;
    event.preventDefault();
    if (event.repeat) return;
    if (isFresh && state.dictation === "off") return fresh();
    if (!pushToTalk) return toggle();
    isHeld = isPushed = true;
    start();
  });
  const release = () => {
    if (!isHeld) return;
    isHeld = false;
    if (state.dictation === "on") stop();
  };
  document.addEventListener("keyup", ({ code }) => library.preferences.hotkey.split("+").at(-1) === code && release());
  window.addEventListener("blur", release); // where it is let go the page does not see it
  onChange(() => {
    if (state.dictation === "off") isPushed = isHeld;
    if (state.dictation !== "on" || !isPushed || isHeld) return;
    isPushed = false;
    queueMicrotask(stop); // it was let go while the microphone opened
  });
}

/** @param {string} hotkey */
function withShift(hotkey) {
  const keys = hotkey.split("+");
  const held = keys.slice(0, -1).filter((key) => key !== "Meta");
  return [...held, "Shift", ...(keys.includes("Meta") ? ["Meta"] : []), keys.at(-1)].join("+");
}

/** @param {KeyboardEvent} event */
function choose(event) {
  if (NEVER.test(event.code)) return; // Tab and Escape do what they do
  event.preventDefault();
  const hotkey = named(event);
  if (!isFree(event)) return setText($("hotkey-note"), T.refused(shown(hotkey)));
  change({ preferences: { ...library.preferences, hotkey } });
  $("hotkey").value = shown(hotkey);
  setText($("hotkey-note"), T.set(shown(hotkey)));
}

onSettings(() => {
  $("hotkey").value = shown(library.preferences.hotkey);
  $("push-to-talk").checked = library.preferences.pushToTalk;
  setText($("hotkey-note"), T.note);
});
$("hotkey").addEventListener("keydown", choose);
$("push-to-talk").addEventListener("change", () => change({ preferences: { ...library.preferences, pushToTalk: $("push-to-talk").checked } }));

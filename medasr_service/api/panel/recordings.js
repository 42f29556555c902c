/** The list of recordings: what each one is doing, which is shown, and away with it. */
import { cancel, leave } from "./files.js";
import { $, announce, clock, length, setText } from "./page.js";
import { isActive, onChange, select, state } from "./state.js";
import { hasText, isEdited } from "./transcript.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.recordings;

/** @typedef {import("./transcript.js").Entry} Entry */

/** @param {Entry} entry */
export function stateText(entry) {
  const percent = entry.progress === null ? "" : ` ${Math.floor(entry.progress * 100)} %`;
  if (entry.job && isActive(entry) && state.service === "lost") return T.waitingForService;
  return {
    waiting: state.service !== "ready" ? T.waitingForService : entry.notBefore > Date.now() ? T.busy : T.waiting,
    uploading: T.sending + percent,
    queued: T.queued,
    working: entry.job && entry.progress !== null ? T.heard(clock(entry.progress * entry.duration), clock(Math.round(entry.duration))) : T.transcribing + percent,
    recording: T.recording,
    finishing: T.finishing,
    incomplete: T.incomplete(length(entry.duration)),
    failed: T.failed,
    done: length(entry.duration) + (isEdited(entry) ? T.edited : ""),
  }[entry.state];
}

/** @param {string} className */
function span(className) {
  const element = document.createElement("span");
  element.className = className;
  return element;
}

/** @param {string} className @param {() => void} action @param {(Node|string)[]} children */
function button(className, action, ...children) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = className;
  element.addEventListener("click", action);
  element.append(...children);
  return element;
}

/** @param {Entry} entry */
function makeItem(entry) {
  const item = document.createElement("li");
  item.dataset.id = String(entry.id);
  item.append(
    button("entry", () => select(entry), span("name"), span("state")),
    button("quiet remove", () => (isActive(entry) ? cancel(entry) : remove(entry)), "✕"),
  );
  return item;
}

/** @param {Element} item @param {Entry} entry */
function update(item, entry) {
  const [shown, away] = /** @type {HTMLElement[]} */ ([...item.children]);
  shown.dataset.state = entry.state;
  shown.ariaCurrent = String(entry === state.selected);
  setText(/** @type {HTMLElement} */ (shown.children[0]), entry.name);
  setText(/** @type {HTMLElement} */ (shown.children[1]), stateText(entry));
  showProgress(shown, entry);
  away.hidden = isActive(entry) && entry.kind === "dictation";
  away.ariaLabel = away.title = isActive(entry) ? T.cancel(entry.name) : T.remove(entry.name);
}

/** @param {HTMLElement} shown @param {Entry} entry */
function showProgress(shown, entry) {
  let bar = shown.querySelector("progress");
  if (entry.state !== "uploading" && entry.state !== "working") return bar?.remove();
  if (!bar) {
    bar = document.createElement("progress");
    bar.ariaLabel = T.progress(entry.name);
    shown.append(bar);
  }
  if (entry.progress === null) bar.removeAttribute("value");
  else bar.value = entry.progress;
}

/** @param {Entry} entry */
function remove(entry) {
  const isLost = hasText(entry) && !entry.saved;
  if (isLost && !window.confirm(T.sure(entry.name))) return;
  leave(entry);
  announce(T.removed(entry.name));
  /** @type {HTMLElement} */ ($("entries").querySelector(".entry") ?? $("choose")).focus();
}

onChange(() => {
  const list = $("entries");
  const items = new Map([...list.children].map((item) => [Number(/** @type {HTMLElement} */ (item).dataset.id), item]));
  state.entries.forEach((entry, i) => {
    const item = items.get(entry.id) ?? makeItem(entry);
    items.delete(entry.id);
    if (list.children[i] !== item) list.insertBefore(item, list.children[i] ?? null);
    update(item, entry);
  });
  for (const item of items.values()) item.remove();
});

window.addEventListener("beforeunload", (event) => {
  const isLost = (/** @type {Entry} */ entry) => !entry.job && (isActive(entry) || (hasText(entry) && !entry.saved)); // a job comes back
  if (state.entries.some(isLost)) event.preventDefault();
});

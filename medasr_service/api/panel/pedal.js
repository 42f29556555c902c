/** Foot pedals and dictation microphones by WebHID. Their buttons are read by a vendored library, loaded only where one is used. */
import { $, onClick, setText } from "./page.js";
import { onSettings } from "./settings.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.pedal;

/**
 * @typedef {object} Actions what the buttons do
 * @property {() => unknown} start @property {() => unknown} stop @property {() => unknown} toggle
 * @property {() => unknown} nextField @property {() => unknown} previousField @property {() => unknown} play
 */

/** @type {Promise<any>|null} of the library */
let opened = null;
/** @type {Actions} */
let actions;

/** The buttons as one knows them, SpeechMike's and a pedal's. @param {Record<string, number>} events @returns {[number, () => unknown][]} */
const buttons = (events) => [
  [events.RECORD, () => actions.toggle()],
  [events.STOP, () => actions.stop()],
  [events.TRANSCRIBE, () => actions.toggle()], // PowerMic's dictate button
  [events.EOL_PRIO, () => actions.nextField()],
  [events.TAB_FORWARD, () => actions.nextField()],
  [events.FORWARD, () => actions.nextField()],
  [events.TAB_BACKWARD, () => actions.previousField()],
  [events.REWIND, () => actions.previousField()],
  [events.PLAY, () => actions.play()],
];

/** All that is connected and allowed; the browser asks for nothing here. */
async function devices() {
  opened ??= import("./vendor/dictation_support.js").then(async ({ ButtonEvent, DictationDeviceManager }) => {
    const manager = new DictationDeviceManager(navigator.hid);
    const known = buttons(ButtonEvent);
    let before = 0;
    manager.addButtonEventListener((/** @type {unknown} */ _, /** @type {number} */ down) => {
      for (const [button, act] of known) if (down & button && !(before & button)) act();
      before = down; // a button that stays down is reported again with each other one
    });
    manager.addDeviceConnectedEventListener(list);
    manager.addDeviceDisconnectedEventListener(list);
    await manager.init();
    return manager;
  });
  return opened;
}

async function list() {
  const found = (await devices()).getDevices();
  const items = found.map((/** @type {{hidDevice: {productName: string}}} */ { hidDevice }) => {
    const item = document.createElement("li");
    item.textContent = T.connected(hidDevice.productName || T.nameless);
    return item;
  });
  $("pedal-list").replaceChildren(...items);
}

async function add() {
  try {
    const chosen = await (await devices()).requestDevice();
    setText($("pedal-problem"), chosen.length ? "" : T.none);
    await list();
  } catch {
    opened = null;
    setText($("pedal-problem"), T.failed);
  }
}

/** @param {Actions} given */
export async function wirePedals(given) {
  actions = given;
  $("pedals").hidden = !navigator.hid;
  if (!navigator.hid) return;
  const allowed = await navigator.hid.getDevices().catch(() => []);
  if (allowed.length) await list().catch(() => (opened = null)); // from an earlier visit
}

onSettings(() => setText($("pedal-problem"), ""));
onClick("pedal-add", add);

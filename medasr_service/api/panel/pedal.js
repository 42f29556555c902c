/** Foot pedals and dictation microphones by WebHID. Their buttons are read by a vendored library, loaded only where one is used. */
import { library } from "./library.js";
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

const FOOT_CONTROL = 2; // of the library's kinds: it has no button to record, so that the middle one is it

/** Starts and stops; where one pushes to talk, as long as it is held. @param {boolean} isDown */
function record(isDown) {
  if (!library.preferences.pushToTalk) return isDown && actions.toggle();
  return isDown ? actions.start() : actions.stop();
}

/** What a button does when it goes down; recording also when it comes up. @typedef {[number, (isDown: boolean) => unknown]} Button */

/** As the makers label them. @param {Record<string, number>} events @param {number} kind @returns {Button[]} */
const buttons = (events, kind) => [
  [events.RECORD, record],
  [events.PLAY, (isDown) => (kind === FOOT_CONTROL ? record(isDown) : isDown && actions.play())],
  [events.STOP, (isDown) => isDown && actions.stop()],
  ...[events.EOL_PRIO, events.TAB_FORWARD, events.FORWARD].map((one) => /** @type {Button} */ ([one, (isDown) => isDown && actions.nextField()])),
  ...[events.TAB_BACKWARD, events.REWIND].map((one) => /** @type {Button} */ ([one, (isDown) => isDown && actions.previousField()])),
];

/** All that is connected and allowed; the browser asks for nothing here. */
async function devices() {
  opened ??= import("./vendor/dictation_support.js").then(async ({ ButtonEvent, DictationDeviceManager }) => {
    const manager = new DictationDeviceManager(navigator.hid);
    /** @type {WeakMap<object, number>} */
    const before = new WeakMap(); // a button that stays down is reported again with each other one
    manager.addButtonEventListener((/** @type {{implType: number}} */ device, /** @type {number} */ down) => {
      const changes = (before.get(device) ?? 0) ^ down;
      before.set(device, down);
      for (const [button, act] of buttons(ButtonEvent, device.implType)) if (changes & button) act(Boolean(down & button));
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

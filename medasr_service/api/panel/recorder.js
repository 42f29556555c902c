/** The microphone: from the browser's permission to blocks of 16-bit PCM, and the recording as a WAV file. */
import { TEXTS } from "./texts.js";

const T = TEXTS.microphone;
/** @type {Record<string, string>} */
const reasons = T.reasons; // by the name of the exception

export const RATE = 16_000;
const RESUME_S = 15; // Firefox waits for ever where the machine has no output for sound

/** What went wrong, in words for the user. */
export class MicrophoneError extends Error {}

/** @param {string} device an id, or "" for the default @returns {Promise<MediaStream>} */
async function open(device) {
  if (!navigator.mediaDevices) throw new MicrophoneError(T.insecure);
  /** As it sounds: the service itself brings up a quiet microphone. @type {MediaTrackConstraints} */
  const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  if (device) audio.deviceId = { exact: device };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const name = /** @type {DOMException} */ (error).name;
    throw new MicrophoneError(reasons[name] ?? T.unusable(name));
  }
}

/** @param {AudioContext} context @throws {MicrophoneError} */
function resumed(context) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new MicrophoneError(T.noOutput)), RESUME_S * 1000));
  return Promise.race([context.resume(), late]);
}

/**
 * @typedef {object} Recorder
 * @property {() => Promise<void>} stop resolves behind the last block
 */

/**
 * Starts recording. `onBlock` gets each tenth of a second; `onEnd` is told when the microphone goes away.
 * @param {{device: string, onBlock: (samples: Int16Array, peak: number) => void, onEnd: () => void}} options
 * @returns {Promise<Recorder>}
 * @throws {MicrophoneError}
 */
export async function record({ device, onBlock, onEnd }) {
  const stream = await open(device);
  const context = new AudioContext();
  const close = async () => {
    for (const track of stream.getTracks()) track.stop();
    if (context.state !== "closed") await context.close();
  };
  try {
    await context.audioWorklet.addModule(new URL("capture.js", import.meta.url).href);
    await resumed(context);
    const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 1, channelCount: 1, channelCountMode: "explicit" });
    /** @type {() => void} */
    let ended = () => {};
    const end = new Promise((resolve) => (ended = () => resolve(undefined)));
    capture.port.onmessage = ({ data }) => (data.end ? ended() : onBlock(data.samples, data.peak));
    context.createMediaStreamSource(stream).connect(capture).connect(context.destination); // it gives silence
    stream.getAudioTracks()[0].addEventListener("ended", onEnd);
    return {
      async stop() {
        capture.port.postMessage("stop");
        await end;
        await close();
      },
    };
  } catch (error) {
    await close();
    if (error instanceof MicrophoneError) throw error;
    throw new MicrophoneError(T.unusable(/** @type {Error} */ (error).name));
  }
}

export const HEADER = 44; // bytes
/** @type {WeakSet<Blob>} */
const made = new WeakSet();

/** Whether a recording is one of `wav`. @param {Blob} blob */
export const isMade = (blob) => made.has(blob);

/** Of a WAV file made here, in seconds. @param {Blob|null} recording */
export const lengthOf_s = (recording) => (recording ? (recording.size - HEADER) / 2 / RATE : 0);

/**
 * A WAV file of 16-bit mono PCM.
 * @param {Int16Array[]} blocks @param {Blob|null} [before] one that was made here, which goes on
 * @returns {Blob}
 */
export function wav(blocks, before = null) {
  const bytes = blocks.reduce((sum, block) => sum + block.byteLength, before ? before.size - HEADER : 0);
  const header = new DataView(new ArrayBuffer(HEADER));
  const text = (/** @type {number} */ at, /** @type {string} */ ascii) =>
    [...ascii].forEach((c, i) => header.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // one channel
  header.setUint32(24, RATE, true);
  header.setUint32(28, RATE * 2, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, bytes, true);
  const recording = new Blob([header, ...(before ? [before.slice(HEADER)] : []), .../** @type {BlobPart[]} */ (blocks)], { type: "audio/wav" });
  made.add(recording);
  return recording;
}

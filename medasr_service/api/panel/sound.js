/** The samples of a recording: at once of what was recorded here, and decoded by the browser of any other file. */
import { HEADER, isMade, RATE, wav } from "./recorder.js";

const MAX_BYTES = 200_000_000; // of a file: decoded, it is larger still

/** @type {{blob: Blob, samples: Promise<Int16Array>}|null} the last file, for the next word of it */
let known = null;

/** @param {Blob} blob @returns {Promise<Int16Array>} @throws {Error} where the browser does not know the format */
async function decode(blob) {
  if (blob.size > MAX_BYTES) throw new Error("too large");
  const context = new OfflineAudioContext(1, 1, RATE);
  const found = await context.decodeAudioData(await blob.arrayBuffer());
  const channels = Array.from({ length: found.numberOfChannels }, (_, i) => found.getChannelData(i));
  return Int16Array.from({ length: found.length }, (_, i) => {
    const mixed = channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length;
    return Math.round(Math.max(-1, Math.min(1, mixed)) * 32_767);
  });
}

/** @param {Blob} blob @param {number} from seconds @param {number} until @returns {Promise<Int16Array>} @throws {Error} */
export async function samples(blob, from, until) {
  const [first, last] = [Math.max(0, Math.round(from * RATE)), Math.round(until * RATE)];
  if (isMade(blob)) return new Int16Array(await blob.slice(HEADER + 2 * first, HEADER + 2 * last).arrayBuffer());
  if (known?.blob !== blob) known = { blob, samples: decode(blob) };
  return (await known.samples).slice(first, last);
}

/** A part of a recording as a file. @param {Blob} blob @param {number} from seconds @param {number} until @throws {Error} */
export const clip = async (blob, from, until) => wav([await samples(blob, from, until)]);

const LOOK_MS = 5000;

/** How long a file is; null where the browser cannot tell. @param {Blob} blob @returns {Promise<number|null>} seconds */
export async function lengthOf(blob) {
  const url = URL.createObjectURL(blob);
  const audio = new Audio();
  audio.preload = "metadata";
  try {
    const seconds = await new Promise((resolve) => {
      audio.onloadedmetadata = () => resolve(audio.duration);
      audio.onerror = () => resolve(NaN);
      setTimeout(() => resolve(NaN), LOOK_MS);
      audio.src = url;
    });
    return Number.isFinite(seconds) ? seconds : null;
  } finally {
    audio.removeAttribute("src");
    URL.revokeObjectURL(url);
  }
}

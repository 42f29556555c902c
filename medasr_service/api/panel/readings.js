/** What else the model considered for a word: the sound round it is sent once more, with its question. */
import { address, authorization } from "./service.js";
import { clip } from "./sound.js";
import { spoken } from "./transcript.js";

const BEFORE_S = 5; // the model hears a word better among others
const BEHIND_S = 3;

/**
 * @param {Blob} sound @param {import("./transcript.js").Piece} piece
 * @returns {Promise<{text: string, probability: number}[]>} the likeliest first
 * @throws {Error} in words for the user
 */
export async function readings(sound, piece) {
  const [start, end] = [piece.start ?? 0, piece.end ?? 0];
  const from = Math.max(0, start - BEFORE_S);
  const form = new FormData();
  const fields = { response_format: "verbose_json", "timestamp_granularities[]": "word", alternatives: "5" };
  for (const [field, value] of Object.entries(fields)) form.append(field, value);
  form.append("file", await clip(sound, from, end + BEHIND_S), "clip.wav");
  const answer = await fetch(address("v1/audio/transcriptions"), { method: "POST", body: form, headers: authorization() });
  const body = await answer.json();
  if (!answer.ok) throw new Error(String(body.error?.message ?? answer.status));
  const overlap = (/** @type {{start: number, end: number}} */ word) => Math.min(word.end + from, end) - Math.max(word.start + from, start);
  const heard = spoken(body.words ?? []).filter((word) => word.written?.trim() && overlap(word) > 0);
  const best = heard.toSorted((a, b) => overlap(b) - overlap(a))[0];
  if (!best) return [];
  const told = /** @type {{alternatives?: {text: string, probability: number}[]}} */ (best).alternatives ?? [];
  const all = [{ text: best.written?.trim() ?? "", probability: best.probability }, ...told];
  return all.filter(({ text }) => text && text !== piece.text.trim());
}

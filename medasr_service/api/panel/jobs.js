/**
 * Jobs of the service: long recordings, which it transcribes also while no page is open. The browser keeps their ids,
 * and when each began, so that the next page takes them up: no text, no name of a file. In docs/jobs.md is what they are.
 */
import { address, authorization, lookAtService } from "./service.js";
import { Cancelled, EventStream, ServiceError } from "./upload.js";
import { TEXTS } from "./texts.js";

/** @typedef {{id: string, created: number, over?: boolean}} Noted `over`: all that is left is to remove it at the service */
/** @typedef {Omit<import("./upload.js").Watcher, "onSent"> & {onQueued: () => void}} Watcher */

const T = TEXTS.files;
const STORE = "medasr-jobs";
const FIRST_LOOK_MS = 250; // between the first two looks at a job
const LOOK_MS = 2000; // between two later ones; longer where the service is away
const MAX_LOOK_MS = 20_000;
const SILENCE_MS = 30_000; // of a service that says something every two seconds
const MAX_STREAMS = 2; // a browser has six connections to a service, over all tabs; the others are looked at

let streams = 0;

/** @returns {Noted[]} */
function noted() {
  try {
    const found = JSON.parse(localStorage.getItem(STORE) ?? "[]");
    return Array.isArray(found) ? found.filter((each) => /^job_\w{1,64}$/.test(each?.id)) : [];
  } catch {
    return []; // altered by hand, or closed to this page
  }
}

/** @param {Noted[]} jobs */
function write(jobs) {
  try {
    if (jobs.length) localStorage.setItem(STORE, JSON.stringify(jobs));
    else localStorage.removeItem(STORE);
  } catch {
    // no room: the job goes on all the same, and is with this page alone
  }
}

export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Those that this page has, until it is closed. @type {Map<string, Promise<unknown>>} */
const held = new Map();

/** Until no other tab has it. Without locks (a page by http) each tab takes up what it finds. @param {string} id */
function hold(id) {
  const ours = held.get(id) ?? new Promise((resolve) => {
    const keep = () => {
      resolve(null);
      return new Promise(() => {});
    };
    if (navigator.locks) navigator.locks.request(`medasr-${id}`, keep).catch(resolve);
    else resolve(null);
  });
  held.set(id, ours);
  return ours;
}

/** @param {string} id @param {Date} created */
export function note(id, created) {
  write([...noted(), { id, created: created.getTime() }]);
  hold(id);
}

/**
 * Jobs that no page has any more: at once, and those of another tab when it is closed.
 * @param {(id: string, created: Date) => void} onFound
 */
export function unfinished(onFound) {
  removeAll();
  for (const { id, created, over } of noted()) if (!over) takeOver(id, () => onFound(id, new Date(created)));
}

/** @param {string} id @param {() => void} onFound */
async function takeOver(id, onFound) {
  await hold(id);
  if (noted().some((each) => each.id === id && !each.over)) onFound();
}

/** Its sound and its text go from the service: now, or when it can be reached. @param {string} id */
export function end(id) {
  const others = noted().filter((each) => each.id !== id);
  write([...others, { id, created: Date.now(), over: true }]);
  return removeAll();
}

async function removeAll() {
  const over = noted().filter((each) => each.over);
  await Promise.all(over.map(({ id }) => remove(id))); // what fails: the next time that one ends, or a page begins
}

/** @param {string} id */
async function remove(id) {
  const answer = await reached(fetch(address(`v1/jobs/${id}`), { method: "DELETE", headers: authorization(), keepalive: true }));
  if (answer?.ok || answer?.status === 404) write(noted().filter((each) => each.id !== id));
}

/** @template T @param {Promise<T>} asked @returns {Promise<T|null>} null where nobody answers */
const reached = (asked) => asked.catch(() => null);

/** @param {string} id @param {AbortSignal} signal @returns {Promise<Record<string, any>|null>} null where the service cannot say it now @throws {ServiceError} where it has come to nothing */
async function look(id, signal) {
  const answer = await reached(fetch(address(`v1/jobs/${id}`), { headers: authorization(), cache: "no-store", signal }));
  if (answer?.status === 404) throw new ServiceError(T.jobGone, 404);
  if (answer?.status === 401) throw new ServiceError("", 401);
  const job = answer?.ok ? await reached(answer.json()) : null;
  if (job?.status === "failed") throw new ServiceError(job.error?.message ?? T.serviceFailed, 500);
  if (job?.status === "cancelled") throw new ServiceError(T.jobCancelled, 409);
  return job;
}

/** @param {string} id @param {EventStream} events @param {AbortSignal} signal @returns {Promise<Record<string, any>|null>} the last event; null where the line broke before @throws {ServiceError} that the service sent */
async function read(id, events, signal) {
  const headers = { ...authorization(), ...(events.lastId && { "Last-Event-ID": events.lastId }) };
  const silence = new AbortController();
  const stop = () => silence.abort();
  signal.addEventListener("abort", stop);
  let timer = setTimeout(stop, SILENCE_MS);
  streams++;
  try {
    const answer = await reached(fetch(address(`v1/jobs/${id}/events`), { headers, cache: "no-store", signal: silence.signal }));
    if (!answer?.ok || !answer.body) return null;
    events.rest = ""; // what was cut off comes again
    const lines = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    // oxlint-disable-next-line no-await-in-loop -- one part after another
    for (let part = await reached(lines.read()); part && !part.done; part = await reached(lines.read())) {
      clearTimeout(timer);
      timer = setTimeout(stop, SILENCE_MS);
      const last = signal.aborted ? null : events.push(part.value);
      if (last) return last;
    }
    return null;
  } finally {
    streams--;
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    stop();
  }
}

/** An error in the middle: of the job, as the next look says, or of a service that leaves. @param {Error} error */
function broken(error) {
  if (!(error instanceof ServiceError)) throw error;
  return null;
}

/**
 * Segments so far, then as they come; goes on where the line broke.
 * @param {string} id @param {AbortSignal} signal @param {Watcher} watcher
 * @returns {Promise<Record<string, any>>} the last event: verbose_json with words
 * @throws {ServiceError|Cancelled} where it has come to nothing, is gone, or a key is wanted
 */
export async function follow(id, signal, watcher) {
  await hold(id);
  const events = new EventStream(watcher);
  /* oxlint-disable no-await-in-loop -- one look after another */
  for (let wait = FIRST_LOOK_MS; !signal.aborted; wait = Math.min(MAX_LOOK_MS, wait * 2)) {
    const job = await look(id, signal);
    if (signal.aborted) break;
    if (job) wait = Math.min(wait, LOOK_MS);
    else lookAtService();
    if (job?.status === "queued") watcher.onQueued();
    else if (job) watcher.onProgress(job.progress.seconds, job.progress.duration);
    const isOpen = job?.status === "succeeded" || (job?.status === "running" && streams < MAX_STREAMS);
    const last = isOpen ? await read(id, events, signal).catch(broken) : null;
    if (last) return last;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  throw new Cancelled();
}

/** A file to its transcript: one request, answered by server-sent events; or to a job, of which jobs.js has the rest. */
import { address, authorization } from "./service.js";
import { TEXTS } from "./texts.js";

const T = TEXTS.files;

const BUSY = new Set([429, 503]);
const LONGEST_WAIT_S = 120; // of a service that is busy; a quota of the day is a refusal

/** A refusal, in the service's own words. */
export class ServiceError extends Error {
  /** @param {string} message @param {number} status 0 where no answer came @param {number} [wait_s] when to try again; 0: never */
  constructor(message, status, wait_s = 0) {
    super(message);
    this.status = status;
    this.wait_s = wait_s;
  }
}

export class Cancelled extends Error {}

/**
 * @typedef {object} Watcher
 * @property {(fraction: number) => void} onSent how much of the file has been sent
 * @property {(event: Record<string, any>) => void} onSegment
 * @property {(seconds: number, duration: number) => void} onProgress how much of the recording has been heard
 */

/**
 * @typedef {object} Asked how a file is to be transcribed
 * @property {Blob} file
 * @property {string} name
 * @property {string[]} keywords
 * @property {string} decoding "" as the service is set
 */

/** @param {Asked} asked @param {Record<string, string>} [more] */
function formOf({ file, name, keywords, decoding }, more = {}) {
  const form = new FormData();
  for (const [field, value] of Object.entries({ ...more, response_format: "verbose_json", damaged: "skip" })) form.append(field, value);
  form.append("timestamp_granularities[]", "segment");
  form.append("timestamp_granularities[]", "word");
  for (const term of keywords) form.append("keywords[]", term);
  if (decoding) form.append("decoding", decoding);
  form.append("file", file, name);
  return form;
}

/**
 * XMLHttpRequest, because fetch does not say how much of a file has been sent.
 * @param {string} path @param {Watcher["onSent"]} onSent
 */
function post(path, onSent) {
  const request = new XMLHttpRequest();
  request.open("POST", address(path));
  for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
  request.upload.onprogress = ({ loaded, total }) => onSent(total ? loaded / total : 0);
  return request;
}

/**
 * @param {Asked} asked @param {AbortSignal} signal @param {Watcher} watcher
 * @returns {Promise<Record<string, any>>} the last event: verbose_json with words
 * @throws {ServiceError|Cancelled}
 */
export function transcribe(asked, signal, watcher) {
  const request = post("v1/audio/transcriptions", watcher.onSent);
  return new Promise((resolve, reject) => {
    const events = new EventStream(watcher);
    let read = 0;
    const readOn = () => {
      const news = request.responseText.slice(read);
      read += news.length; // also where it throws: nothing is heard twice
      try {
        const done = events.push(news);
        if (done) resolve(done);
      } catch (error) {
        reject(error);
      }
    };
    request.onprogress = () => request.status === 200 && readOn();
    request.onload = () => {
      if (request.status !== 200) return reject(refusal(request));
      readOn();
      reject(new ServiceError(T.lostBeforeEnd, 0)); // nothing, where the end has come
    };
    request.onerror = () => reject(new ServiceError(T.lost, 0));
    request.onabort = () => reject(new Cancelled());
    signal.addEventListener("abort", () => request.abort());
    request.send(formOf(asked, { stream: "true" }));
  });
}

/**
 * A file handed in as a job. Once all of it is sent, whoever cancels waits for its name, so that it can be ended there.
 * @param {Asked} asked @param {string} key `Idempotency-Key`: sent twice, it is one job
 * @param {AbortSignal} signal @param {Watcher["onSent"]} onSent
 * @returns {Promise<string>} its id
 * @throws {ServiceError|Cancelled}
 */
export function submit(asked, key, signal, onSent) {
  const request = post("v1/jobs", onSent);
  request.setRequestHeader("Idempotency-Key", key);
  return new Promise((resolve, reject) => {
    let isSent = false;
    request.upload.onload = () => (isSent = true);
    request.onload = () => (request.status === 202 ? resolve(String(JSON.parse(request.responseText).id)) : reject(refusal(request)));
    request.onerror = () => reject(new ServiceError(T.lost, 0));
    request.onabort = () => reject(new Cancelled());
    signal.addEventListener("abort", () => isSent || request.abort());
    request.send(formOf(asked));
  });
}

/** @param {XMLHttpRequest} request */
function refusal(request) {
  let message = "";
  try {
    message = JSON.parse(request.responseText).error.message;
  } catch {
    message = T.answered(`${request.status} ${request.statusText}`.trim());
  }
  const wait_s = BUSY.has(request.status) ? Number(request.getResponseHeader("Retry-After")) : 0; // a date is no number
  return new ServiceError(message, request.status, wait_s <= LONGEST_WAIT_S ? wait_s : 0);
}

/** Server-sent events as they come, in pieces that end anywhere. */
export class EventStream {
  /** @param {Pick<Watcher, "onSegment"|"onProgress">} watcher */
  constructor(watcher) {
    this.watcher = watcher;
    this.rest = "";
    this.lastId = ""; // of the last whole event, where they have ids
  }

  /** @param {string} text what has come since @returns {Record<string, any>|null} the last event @throws {ServiceError} */
  push(text) {
    const blocks = (this.rest + text).split("\n\n");
    this.rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const done = this.take(block.split("\n"));
      if (done) return done;
    }
    return null;
  }

  /** @param {string[]} lines @returns {Record<string, any>|null} */
  take(lines) {
    const data = lines.find((line) => line.startsWith("data: "));
    const { seconds, duration } = JSON.parse(lines.find((line) => line.startsWith(": {"))?.slice(2) ?? "{}");
    if (seconds !== undefined) this.watcher.onProgress(seconds, duration);
    if (!data) return null;
    const event = JSON.parse(data.slice(6));
    if (event.type === "error") throw new ServiceError(event.error?.message ?? T.serviceFailed, 500);
    if (event.type === "transcript.text.delta") this.watcher.onSegment(event);
    if (event.progress) this.watcher.onProgress(event.progress.seconds, event.progress.duration);
    this.lastId = lines.find((line) => line.startsWith("id: "))?.slice(4) ?? "";
    return event.type === "transcript.text.done" ? event : null;
  }
}

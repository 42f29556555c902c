/** A file to its transcript: one request, answered by server-sent events. */

import { TEXTS } from "./texts.js";

const T = TEXTS.files;

/** A refusal, in the service's own words. */
export class ServiceError extends Error {
  /** @param {string} message @param {number} status 0 where no answer came */
  constructor(message, status) {
    super(message);
    this.status = status;
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
 * XMLHttpRequest, because fetch does not say how much of a file has been sent.
 * @param {{url: URL, key: string, file: Blob, name: string, signal: AbortSignal, keywords: string[], decoding: string}} job `decoding`: "" as the service is set
 * @param {Watcher} watcher
 * @returns {Promise<Record<string, any>>} the last event: verbose_json with words
 * @throws {ServiceError|Cancelled}
 */
export function transcribe({ url, key, file, name, signal, keywords, decoding }, watcher) {
  const form = new FormData();
  for (const [field, value] of Object.entries({ stream: "true", response_format: "verbose_json", damaged: "skip" })) form.append(field, value);
  form.append("timestamp_granularities[]", "segment");
  form.append("timestamp_granularities[]", "word");
  for (const term of keywords) form.append("keywords[]", term);
  if (decoding) form.append("decoding", decoding);
  form.append("file", file, name);
  const request = new XMLHttpRequest();
  request.open("POST", url);
  if (key) request.setRequestHeader("Authorization", `Bearer ${key}`);

  return new Promise((resolve, reject) => {
    const events = new EventStream((event) => {
      if (event.type === "transcript.text.done") resolve(event);
      else if (event.type === "error") reject(new ServiceError(event.error?.message ?? T.serviceFailed, 500));
      else if (event.type === "transcript.text.delta") watcher.onSegment(event);
      if (event.progress) watcher.onProgress(event.progress.seconds, event.progress.duration);
    }, (comment) => watcher.onProgress(comment.seconds, comment.duration));
    request.upload.onprogress = ({ loaded, total }) => watcher.onSent(total ? loaded / total : 0);
    request.onprogress = () => request.status === 200 && events.read(request.responseText);
    request.onload = () => {
      if (request.status !== 200) return reject(refusal(request));
      events.read(request.responseText);
      reject(new ServiceError(T.lostBeforeEnd, 0)); // nothing, where the end has come
    };
    request.onerror = () => reject(new ServiceError(T.lost, 0));
    request.onabort = () => reject(new Cancelled());
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
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
  return new ServiceError(message, request.status);
}

class EventStream {
  /**
   * @param {(event: Record<string, any>) => void} onEvent
   * @param {(comment: {seconds: number, duration: number}) => void} onComment
   */
  constructor(onEvent, onComment) {
    this.onEvent = onEvent;
    this.onComment = onComment;
    this.at = 0;
  }

  /** @param {string} text all that has come so far */
  read(text) {
    for (let end = text.indexOf("\n\n", this.at); end >= 0; end = text.indexOf("\n\n", this.at)) {
      const block = text.slice(this.at, end);
      this.at = end + 2;
      for (const line of block.split("\n")) {
        if (line.startsWith("data: ")) this.onEvent(JSON.parse(line.slice(6)));
        else if (line.startsWith(": {")) this.onComment(JSON.parse(line.slice(2)));
      }
    }
  }
}

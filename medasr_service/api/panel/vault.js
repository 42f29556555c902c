/**
 * Reports and their sound, kept in this browser where the user says so: for a tab that crashes. Encrypted with a key
 * that no script can read out (AES-GCM, IndexedDB), gone after a day, or at once with one button. Without the user's
 * consent there is no database.
 */
const NAME = "medasr-vault";
const KEPT_MS = 24 * 3600 * 1000;

export const LOOK_MS = 60_000; // between two looks at what is older

/** @typedef {{id: string, at: number, iv: BufferSource, data: ArrayBuffer}} Sealed */

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Whether this browser can: only on pages that are served safely. */
export const canKeep = () => Boolean(globalThis.crypto?.subtle && globalThis.indexedDB?.databases);

/** Whether the user has said so before. */
export async function isKeeping() {
  return canKeep() && (await indexedDB.databases()).some(({ name }) => name === NAME);
}

export class Vault {
  /** @param {IDBDatabase} database @param {CryptoKey} key */
  constructor(database, key) {
    this.database = database;
    this.key = key;
  }

  /** @returns {Promise<Vault>} @throws {DOMException} where the browser has no room, or forbids it */
  static async open() {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("keys");
      request.result.createObjectStore("sealed", { keyPath: "id" });
    };
    const database = await done(request);
    database.onversionchange = () => database.close(); // another tab removes all
    const known = await done(database.transaction("keys").objectStore("keys").get("key"));
    if (known) return new Vault(database, known);
    const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
    await done(database.transaction("keys", "readwrite").objectStore("keys").put(key, "key"));
    return new Vault(database, key);
  }

  /** @param {"readonly"|"readwrite"} mode */
  store(mode) {
    return this.database.transaction("sealed", mode).objectStore("sealed");
  }

  /** @param {string} id @param {BufferSource} data */
  async put(id, data) {
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: new TextEncoder().encode(id) }, this.key, data);
    await done(this.store("readwrite").put({ id, at: Date.now(), iv, data: sealed }));
  }

  /** All that begin with that, in order. @param {string} prefix @returns {Promise<{id: string, data: ArrayBuffer}[]>} */
  async all(prefix) {
    const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
    /** @type {Sealed[]} */
    const found = await done(this.store("readonly").getAll(range));
    return Promise.all(found.map(async ({ id, iv, data }) => ({ id, data: await this.open(id, iv, data) })));
  }

  /** @param {string} id @param {BufferSource} iv @param {ArrayBuffer} data */
  open(id, iv, data) {
    return crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData: new TextEncoder().encode(id) }, this.key, data);
  }

  /** All that begin with that. @param {string} prefix */
  drop(prefix) {
    return done(this.store("readwrite").delete(IDBKeyRange.bound(prefix, `${prefix}\uffff`)));
  }

  /** What is older than a day. */
  async expire() {
    /** @type {Sealed[]} */
    const found = await done(this.store("readonly").getAll());
    const old = found.filter(({ at }) => Date.now() - at > KEPT_MS);
    await Promise.all(old.map(({ id }) => this.drop(id)));
  }

  /** Everything, and the key with it. */
  async destroy() {
    this.database.close();
    await done(indexedDB.deleteDatabase(NAME));
  }
}

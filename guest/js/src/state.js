// The actor's own durable state.
import * as store from "#host/state";
import { integer, options, string } from "./check.js";
import { ask } from "./failures.js";
import { asBytes, fromBytes, toBytes } from "./json.js";

/** The most seconds that the contract can say. The host refuses 0 itself, as it does for every language. */
const MAX_TTL = 2 ** 32 - 1;
const named = (key) => string(key, "the key");
const seconds = (ttl) => (ttl === undefined || ttl === null ? null : integer(ttl, "ttl, in seconds,", 0, MAX_TTL));

const present = (bytes) => bytes !== null && bytes !== undefined;

export const state = {
  /** The value of a key, or `otherwise` when there is none. */
  get(key, otherwise) {
    const name = named(key);
    const bytes = ask(() => store.get(name));
    return present(bytes) ? fromBytes(bytes) : otherwise;
  },
  /** The values of several keys, in one request; `undefined` for those that do not exist. */
  getMany(keys) {
    if (!Array.isArray(keys)) throw new TypeError("getMany() takes an array of keys");
    const all = Array.from(keys, named);
    return ask(() => store.getMany(all)).map((bytes) => (present(bytes) ? fromBytes(bytes) : undefined));
  },
  /** The bytes of a key, or `undefined`. */
  getBytes(key) {
    const name = named(key);
    const bytes = ask(() => store.get(name));
    return present(bytes) ? asBytes(bytes) : undefined;
  },
  /** Stages a write. `ttl` is in seconds. */
  set(key, value, more = {}) {
    const name = named(key);
    const ttl = seconds(options(more, "the third value of set()", ["ttl"]).ttl);
    const bytes = toBytes(value);
    ask(() => store.set(name, bytes, ttl));
  },
  /** Stages a removal. */
  delete(key) {
    const name = named(key);
    ask(() => store["delete"](name));
  },
};

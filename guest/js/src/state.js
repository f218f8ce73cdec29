// The actor's own durable state.
import * as store from "#host/state";
import { ask } from "./failures.js";
import { asBytes, fromBytes, toBytes, whole } from "./json.js";

const present = (bytes) => bytes !== null && bytes !== undefined;

export const state = {
  /** The value of a key, or `otherwise` when there is none. */
  get(key, otherwise) {
    const bytes = ask(() => store.get(whole(key)));
    return present(bytes) ? fromBytes(bytes) : otherwise;
  },
  /** The values of several keys, in one request; `undefined` for those that do not exist. */
  getMany(keys) {
    return ask(() => store.getMany(keys.map(whole))).map((bytes) => (present(bytes) ? fromBytes(bytes) : undefined));
  },
  /** The bytes of a key, or `undefined`. */
  getBytes(key) {
    const bytes = ask(() => store.get(whole(key)));
    return present(bytes) ? asBytes(bytes) : undefined;
  },
  /** Stages a write. `ttl` is in seconds. */
  set(key, value, { ttl } = {}) {
    ask(() => store.set(whole(key), toBytes(value), ttl ?? null));
  },
  /** Stages a removal. */
  delete(key) {
    ask(() => store["delete"](whole(key)));
  },
};

// Reminders and timers. Durations are milliseconds.
import * as durable from "#host/reminders";
import * as volatile from "#host/timers";
import { ask } from "./failures.js";
import { fromBytes, toBytes, whole } from "./json.js";

const schedule = ({ due = 0, period, ttl } = {}) => ({ dueMs: due, periodMs: period ?? null, ttlMs: ttl ?? null });
const plain = ({ dueMs, periodMs, ttlMs }) => ({ due: dueMs, period: periodMs ?? undefined, ttl: ttlMs ?? undefined });

const door = (host) => ({
  /** Stages a registration. It replaces one of the same name. */
  register(name, when, value) {
    ask(() => host.register(whole(name), schedule(when), value === undefined ? new Uint8Array() : toBytes(value)));
  },
  /** Stages the removal of a registration. */
  unregister(name) {
    ask(() => host.unregister(whole(name)));
  },
  /** The registration of a name, or `undefined`. */
  get(name) {
    const found = ask(() => host.get(whole(name)));
    return found ? { ...plain(found.schedule), data: fromBytes(found.data) } : undefined;
  },
});

/** Durable: fires until it is unregistered, has fired once (without a period), or its time to live is over. */
export const reminders = door(durable);
/** Lasts while the actor is active. */
export const timers = door(volatile);

// Reminders and timers. Durations are milliseconds.
import * as durable from "#host/reminders";
import * as volatile from "#host/timers";
import { integer, options, string } from "./check.js";
import { ask } from "./failures.js";
import { fromBytes, toBytes } from "./json.js";

const millis = (value, what) => integer(value, `${what}, in milliseconds,`, 0, Number.MAX_SAFE_INTEGER);
const optional = (value, what) => (value === undefined || value === null ? null : millis(value, what));
const named = (name) => string(name, "the name");

function schedule(when = {}) {
  const { due = 0, period, ttl } = options(when, "the schedule", ["due", "period", "ttl"]);
  return { dueMs: millis(due, "due"), periodMs: optional(period, "period"), ttlMs: optional(ttl, "ttl") };
}

const plain = ({ dueMs, periodMs, ttlMs }) => ({ due: dueMs, period: periodMs ?? undefined, ttl: ttlMs ?? undefined });

const door = (host) => ({
  /** Stages a registration. It replaces one of the same name. */
  register(name, when, value) {
    const known = named(name);
    const times = schedule(when);
    const bytes = value === undefined ? new Uint8Array() : toBytes(value);
    ask(() => host.register(known, times, bytes));
  },
  /** Stages the removal of a registration. */
  unregister(name) {
    const known = named(name);
    ask(() => host.unregister(known));
  },
  /** The registration of a name, or `undefined`. */
  get(name) {
    const known = named(name);
    const found = ask(() => host.get(known));
    return found ? { ...plain(found.schedule), data: fromBytes(found.data) } : undefined;
  },
});

/** Durable: fires until it is unregistered, has fired once (without a period), or its time to live is over. */
export const reminders = door(durable);
/** Lasts while the actor is active. */
export const timers = door(volatile);

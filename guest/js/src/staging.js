// What one turn of a `TestHost` has staged: its reads see it, and it is kept at the commit.
import { failureOf } from "./agent.js";
import { Failure } from "./failures.js";
import { asBytes, fromBytes, toBytes } from "./json.js";

// As the host has them, where the manifest says nothing else. All times are milliseconds.
/** The shortest period, and the shortest wait of what is registered in the turn of a wake-up. */
const LEAST_PERIOD = 10;
/** The most bytes of a key or a name. */
const MAX_NAME = 512;

/** The hook of each kind of wake-up. */
export const HOOKS = { reminder: "onReminder", timer: "onTimer" };
const DENIED = (what) => ({ tag: "denied", val: `${what} is not given to this TestHost` });
const bytesOf = (value) => (typeof value === "string" ? new TextEncoder().encode(value) : toBytes(value ?? null));

/** What a turn has staged. The modules of `host/` call it. */
export class Turn {
  lines = [];
  /** Why promises of this turn were rejected to which nothing has reacted. */
  unheard = [];
  #host;
  #options;
  #actor;
  #writes = new Map();
  #wakeUps = new Map();
  #effects = [];

  constructor(host, options, actor) {
    this.#host = host;
    this.#options = options;
    this.#actor = actor;
  }

  /** The time of the host, which `Date.now()` and `new Date()` give. */
  get now() {
    return this.#host.now;
  }
  get agentType() {
    return this.#options.type ?? "Agent";
  }
  get actorId() {
    return this.#actor.id;
  }
  get id() {
    return `turn-${this.#actor.number}`;
  }

  get(key) {
    checkKey(key);
    if (this.#writes.has(key)) return this.#writes.get(key)?.bytes ?? null;
    const found = this.#actor.stored.get(key);
    return found && (found.until === undefined || found.until > this.#host.now) ? found.bytes : null;
  }
  set(key, value, ttl) {
    checkKey(key);
    if (ttl === 0) throw invalid("a time to live of 0 seconds; leave it out, or delete the key");
    const until = ttl === null ? undefined : this.#host.now + ttl * 1000;
    this.#writes.set(key, { bytes: asBytes(value), until });
  }
  delete(key) {
    checkKey(key);
    this.#writes.set(key, undefined);
  }
  /** Puts what `migrate` has returned in the place of what it has got. What had a time to live keeps the rest of it. */
  replace(before, after) {
    const untils = new Map(before.map(([key]) => [key, this.#actor.stored.get(key)?.until]));
    for (const [key] of before) this.delete(key);
    for (const [key, value] of after) {
      checkKey(key);
      this.#writes.set(key, { bytes: asBytes(value), until: untils.get(key) });
    }
  }

  stage(effect) {
    this.#effects.push(effect);
    return this.#effects.length - 1;
  }
  logOutcome(effect, delivered) {
    if (!this.#effects[effect]) throw { tag: "not-found", val: `this turn has no effect ${effect}` };
    this.#effects[effect].delivered = delivered;
  }

  invokeBinding(name, operation, sent, metadata) {
    const answer = this.#options.bindings?.[name];
    if (!answer) throw DENIED(`the binding ${name}`);
    const data = answered(`the binding ${name}`, () => answer(operation, asBytes(sent), Object.fromEntries(metadata)));
    return { data: bytesOf(data), metadata: [] };
  }
  invokeActor(type, id, method, payload) {
    const answer = this.#options.actors?.[type];
    if (!answer) throw DENIED(`the agent type ${type}`);
    try {
      return toBytes(answered(`the agent type ${type}`, () => answer(id, method, fromBytes(payload))));
    } catch (thrown) {
      // Its failure is not this agent's: the host tells it as an error.
      if (!(thrown instanceof Failure)) throw thrown;
      const { tag, val } = failureOf(thrown);
      throw { tag: tag === "failed" ? "other" : tag, val };
    }
  }

  register(kind, name, { dueMs, periodMs, ttlMs }, data) {
    const { fired, hooks } = this.#actor;
    if (!hooks.includes(HOOKS[kind])) throw invalid(`the class has no ${HOOKS[kind]}(), so it could never fire`);
    if (periodMs === 0) throw invalid("a period of 0; leave it out to fire once");
    if (periodMs !== null && periodMs < LEAST_PERIOD) throw invalid(`a period of less than ${LEAST_PERIOD} ms`);
    // Otherwise one that registers itself again in each of its turns would have no period at all.
    const due = fired ? Math.max(dueMs, LEAST_PERIOD) : dueMs;
    if (ttlMs !== null && ttlMs < due) throw invalid("the time to live ends before it is due, so it could never fire");
    checkName("name", name);
    const schedule = { dueMs: due, periodMs, ttlMs };
    this.#wakeUps.set(`${kind}/${name}`, { kind, name, schedule, data: asBytes(data) });
  }
  unregister(kind, name) {
    checkName("name", name);
    this.#wakeUps.set(`${kind}/${name}`, undefined);
  }
  registered(kind, name) {
    checkName("name", name);
    const key = `${kind}/${name}`;
    const found = this.#wakeUps.has(key) ? this.#wakeUps.get(key) : this.#actor.wakeUps.get(key);
    return found ? { data: found.data, schedule: found.schedule } : null;
  }

  setting(key) {
    return this.#options.config?.[key] ?? null;
  }
  settings() {
    return Object.entries(this.#options.config ?? {});
  }
  secret(name) {
    const found = this.#options.secrets?.[name];
    if (!found) throw DENIED(`the secret ${name}`);
    return Object.entries(typeof found === "string" ? { [name]: found } : found);
  }
  log(level, message) {
    this.lines.push({ level, message });
  }

  commit() {
    const { fired } = this.#actor;
    // What the turn has changed of the same name comes after it.
    if (fired) passOn(this.#actor.wakeUps, fired, this.#host.now);
    for (const [key, write] of this.#writes) {
      if (write) this.#actor.stored.set(key, write);
      else this.#actor.stored.delete(key);
    }
    for (const [key, wakeUp] of this.#wakeUps) {
      if (!wakeUp) {
        this.#actor.wakeUps.delete(key);
        continue;
      }
      const { dueMs, ttlMs } = wakeUp.schedule;
      const due = this.#host.now + dueMs;
      const end = ttlMs === null ? Infinity : this.#host.now + ttlMs;
      this.#actor.wakeUps.set(key, { ...wakeUp, due, end, at: due, tries: 0 });
    }
    this.#host.logged.push(...this.lines);
    for (const { kind, bytes, pubsub, topic, delivered, ...effect } of this.#effects) {
      const actor = this.#actor.id;
      if (kind === "publish") this.#host.events.push({ actor, topic: `${pubsub}/${topic}`, data: decoded(bytes) });
      else this.#host.sent.push({ actor, ...effect, data: decoded(bytes) });
      if (delivered !== undefined) this.#host.logged.push({ level: "info", message: delivered });
    }
  }
}

/**
 * The rest of a registration after a firing, unless another one has taken its place. Missed firings are not made up for.
 * `due` is when it fires by its schedule, and `at` when it fires next.
 */
export function passOn(wakeUps, { key, wakeUp }, now) {
  if (wakeUps.get(key) !== wakeUp) return;
  const { periodMs } = wakeUp.schedule;
  if (periodMs !== null) {
    const missed = Math.floor((now - wakeUp.due) / periodMs);
    wakeUp.due += periodMs * (missed + 1);
    Object.assign(wakeUp, { at: wakeUp.due, tries: 0 });
  }
  if (periodMs === null || wakeUp.due > wakeUp.end) wakeUps.delete(key);
}

/** What a test answers for the rest of the world. It must be there at once: an agent does not await its calls of the host. */
function answered(what, call) {
  const answer = call();
  if (typeof answer?.then !== "function") return answer;
  // Nothing else hears of its rejection.
  Promise.resolve(answer).catch(() => {});
  throw new TypeError(`what answers for ${what} in this TestHost returns a promise; it must return the answer itself`);
}

const invalid = (val) => ({ tag: "invalid", val });
const checkKey = (key) => checkName("key", key);

/** Refuses the keys, and the names of wake-ups, that the host refuses. */
function checkName(what, name) {
  const shown = JSON.stringify(name);
  if (name.startsWith("daca:")) throw invalid(`the ${what} ${shown} begins with daca:, which is reserved for the host`);
  if (name === "") throw invalid(`the ${what} is empty`);
  const { length } = new TextEncoder().encode(name);
  if (length > MAX_NAME) throw { tag: "too-large", val: `the ${what} has ${length} bytes; the maximum is ${MAX_NAME}` };
  if (/\|\||\p{Cc}/u.test(name)) throw invalid(`the ${what} ${shown} has || or a control character`);
}

/** JSON as its value, other text as text, anything else as bytes. */
function decoded(bytes) {
  try {
    const string = new TextDecoder("utf-8", { fatal: true }).decode(asBytes(bytes));
    try {
      return JSON.parse(string);
    } catch {
      return string;
    }
  } catch {
    return asBytes(bytes);
  }
}

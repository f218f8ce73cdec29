// A host in memory, for tests of an agent: the same class, its state, events, bindings, wake-ups and a clock.
//
// A turn is all or nothing here, too: when a method throws, its writes and effects are gone, and so is the instance.
import { Activation, failureOf, faultOf, openFailure, unheardFailure } from "./agent.js";
import { Failed, Failure, Invalid, NotFound } from "./failures.js";
import { asBytes, fromBytes, toBytes } from "./json.js";
import { settled, within } from "./host/turn.js";

const DENIED = (what) => ({ tag: "denied", val: `${what} is not given to this TestHost` });
const bytesOf = (value) => (typeof value === "string" ? new TextEncoder().encode(value) : toBytes(value ?? null));

/**
 * A host with one agent type.
 *
 * Options: `type` (the type's name), `now` (a Date or milliseconds), `config` and `secrets` (plain objects), `bindings`
 * (`{ name: (operation, data, metadata) => answer }`), `actors` (`{ Type: (id, method, payload) => reply }`).
 */
export class TestHost {
  /** Events that were published: `{ actor, topic, data }`. */
  events = [];
  /** One-way binding calls that were sent: `{ actor, binding, operation, data, metadata }`. */
  sent = [];
  /** The log: `{ level, message }`. */
  logged = [];
  #definition;
  #options;
  #actors = new Map();
  #now;
  #turns = 0;

  constructor(definition, options = {}) {
    new Activation(definition);
    this.#definition = definition;
    this.#options = options;
    this.#now = Number(options.now ?? Date.parse("2026-01-01T00:00:00Z"));
  }

  /** The time of the host, in milliseconds. `Date.now()` gives it within a turn. */
  get now() {
    return this.#now;
  }

  /** The actor of an id. It is made at its first call. */
  actor(id) {
    let found = this.#actors.get(id);
    if (!found) {
      found = new TestActor(this, id);
      this.#actors.set(id, found);
    }
    return found;
  }

  /** Moves the clock, and fires the reminders and timers that become due, in their order. */
  async advance(ms) {
    const until = this.#now + ms;
    for (;;) {
      let next;
      for (const actor of this.#actors.values()) {
        const due = actor.nextDue(until);
        if (due && (!next || due.wakeUp.at < next.due.wakeUp.at)) next = { actor, due };
      }
      if (!next) break;
      this.#now = Math.max(this.#now, next.due.wakeUp.at);
      await next.actor.fire(next.due);
    }
    this.#now = until;
  }

  /** For the actors of this host. */
  context() {
    return { definition: this.#definition, options: this.#options, number: ++this.#turns };
  }
}

/** One actor of a `TestHost`. */
class TestActor {
  #host;
  #id;
  #stored = new Map();
  #wakeUps = new Map();
  #activation;
  #last = Promise.resolve();

  constructor(host, id) {
    this.#host = host;
    this.#id = id;
  }

  /** The committed state: values by key. */
  get state() {
    const live = [...this.#stored].filter(([, { until }]) => until === undefined || until > this.#host.now);
    return new Map(live.map(([key, { bytes }]) => [key, fromBytes(bytes)]));
  }

  /** Writes state as if an earlier turn had. */
  setState(key, value) {
    this.#stored.set(key, { bytes: toBytes(value) });
  }

  /** The names of the registered reminders. */
  get reminders() {
    return [...this.#wakeUps.values()].filter(({ kind }) => kind === "reminder").map(({ name }) => name);
  }

  /** The names of the registered timers. */
  get timers() {
    return [...this.#wakeUps.values()].filter(({ kind }) => kind === "timer").map(({ name }) => name);
  }

  /** Calls a method, as a route does. Throws `Invalid`, `NotFound` or `Failed`. */
  async call(method, payload) {
    const bytes = payload === undefined ? new Uint8Array() : toBytes(payload);
    return fromBytes(await this.#turn((activation) => activation.invoke(method, bytes)));
  }

  /** Ends the activation: the instance and the timers are gone, state and reminders stay. */
  async deactivate() {
    if (this.#activation) await this.#turn((activation) => activation.hook("deactivate"));
    this.#activation = undefined;
    for (const [key, { kind }] of this.#wakeUps) if (kind === "timer") this.#wakeUps.delete(key);
  }

  /** Tells the actor that one of its effects has failed for good. */
  async effectFailed(effect, reason) {
    await this.#turn((activation) => activation.hook("onEffectFailed", effect, reason));
  }

  /** The first wake-up that is due until a time; for `TestHost.advance`. */
  nextDue(until) {
    let next;
    for (const [key, wakeUp] of this.#wakeUps) {
      if (wakeUp.at <= until && (!next || wakeUp.at < next.wakeUp.at)) next = { key, wakeUp };
    }
    return next;
  }

  /** Fires one; for `TestHost.advance`. */
  async fire({ key, wakeUp }) {
    const { kind, name, schedule, data } = wakeUp;
    if (schedule.periodMs === null) this.#wakeUps.delete(key);
    else wakeUp.at += schedule.periodMs;
    if (wakeUp.end !== undefined && wakeUp.at >= wakeUp.end) this.#wakeUps.delete(key);
    await this.#turn((activation) => activation.wakeUp(kind === "reminder" ? "onReminder" : "onTimer", name, data));
  }

  #turn(call) {
    const result = this.#last.then(() => this.#run(call));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #run(call) {
    const { definition, options, number } = this.#host.context();
    const turn = new Turn(this.#host, options, { id: this.#id, number, stored: this.#stored, wakeUps: this.#wakeUps });
    try {
      return await within(turn, async () => {
        if (!this.#activation) {
          this.#activation = new Activation(definition);
          await outcome(turn, this.#activation.hook("activate"));
        }
        const reply = await outcome(turn, call(this.#activation));
        turn.commit();
        return reply;
      });
    } catch (thrown) {
      this.#activation = undefined;
      const { tag, val } = failureOf(thrown);
      const fault = faultOf(thrown);
      if (fault) turn.log("error", fault);
      this.#host.logged.push(...turn.lines);
      if (thrown instanceof Failure) throw thrown;
      throw Object.assign(tag === "invalid" ? new Invalid(val) : tag === "not-found" ? new NotFound(val) : new Failed(val), { cause: thrown });
    }
  }
}

/** What a method settles to, by the rules of the engine: once all has run, nothing settles an open promise. */
async function outcome(turn, result) {
  let found;
  Promise.resolve(result).then((value) => { found = { value }; }, (reason) => { found = { isRejected: true, value: reason }; });
  const unheard = await settled(turn);
  if (found?.isRejected) throw found.value;
  if (unheard) throw unheardFailure(unheard.reason);
  if (!found) throw openFailure();
  return found.value;
}

/** What one turn has staged. The modules of `host/` call it. */
class Turn {
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

  /** The time of the host, which `Date.now()` gives. */
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
    if (this.#writes.has(key)) return this.#writes.get(key)?.bytes ?? null;
    const found = this.#actor.stored.get(key);
    return found && (found.until === undefined || found.until > this.#host.now) ? found.bytes : null;
  }
  set(key, value, ttl) {
    checkKey(key);
    const until = ttl === null ? undefined : this.#host.now + ttl * 1000;
    this.#writes.set(key, { bytes: asBytes(value), until });
  }
  delete(key) {
    checkKey(key);
    this.#writes.set(key, undefined);
  }

  stage(effect) {
    this.#effects.push(effect);
    return this.#effects.length - 1;
  }
  logOutcome(effect, delivered) {
    if (!this.#effects[effect]) throw { tag: "not-found", val: `this turn has no effect ${effect}` };
    this.#effects[effect].delivered = delivered;
  }

  invokeBinding(name, operation, data, metadata) {
    const answer = this.#options.bindings?.[name];
    if (!answer) throw DENIED(`the binding ${name}`);
    return { data: bytesOf(answer(operation, asBytes(data), Object.fromEntries(metadata))), metadata: [] };
  }
  invokeActor(type, id, method, payload) {
    const answer = this.#options.actors?.[type];
    if (!answer) throw DENIED(`the agent type ${type}`);
    return toBytes(answer(id, method, fromBytes(payload)));
  }

  register(kind, name, schedule, data) {
    if (name.startsWith("daca:")) throw { tag: "invalid", val: `the name ${name} is reserved` };
    if (schedule.periodMs === 0) throw { tag: "invalid", val: "a period of 0" };
    this.#wakeUps.set(`${kind}/${name}`, { kind, name, schedule, data: asBytes(data) });
  }
  unregister(kind, name) {
    this.#wakeUps.set(`${kind}/${name}`, undefined);
  }
  registered(kind, name) {
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
      const end = ttlMs === null ? undefined : this.#host.now + ttlMs;
      this.#actor.wakeUps.set(key, { ...wakeUp, at: this.#host.now + dueMs, end });
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

function checkKey(key) {
  if (key === "" || key.includes("||") || key.startsWith("daca:")) throw { tag: "invalid", val: `the key ${JSON.stringify(key)}` };
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

// A host in memory, for tests of an agent: the same class, its state, events, bindings, wake-ups and a clock.
//
// A turn is all or nothing here, too: when a method throws, its writes and effects are gone, and so is the instance.
import { Activation, failureOf, faultOf, openFailure, unheardFailure } from "./agent.js";
import { string } from "./check.js";
import { ask, Failed, Failure, Invalid, NotFound } from "./failures.js";
import { asBytes, fromBytes, toBytes } from "./json.js";
import { settled, within } from "./host/turn.js";

// As the host has them, where the manifest says nothing else. All times are milliseconds.
/** The shortest period, and the shortest wait of what is registered in the turn of a wake-up. */
const LEAST_PERIOD = 10;
/** The tries of one firing of a reminder with a period. One without is tried until its turn succeeds. */
const TRIES = 8;
/** The wait before the second try, which doubles with each further one, and the longest. */
const [FIRST_WAIT, LONGEST_WAIT] = [500, 60_000];
/** The most bytes of a key or a name. */
const MAX_NAME = 512;

const HOOKS = { reminder: "onReminder", timer: "onTimer" };
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

  /** The time of the host, in milliseconds. `Date.now()` and `new Date()` give it within a turn. */
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

  /**
   * Moves the clock, and fires the reminders and timers that become due, in their order. A reminder whose turn fails
   * fires again after a wait. Throws the first failure once the clock has moved and all have fired.
   */
  async advance(ms) {
    const until = this.#now + ms;
    const failures = [];
    for (;;) {
      let next;
      for (const actor of this.#actors.values()) {
        const due = actor.nextDue(until);
        if (due && (!next || due.wakeUp.at < next.due.wakeUp.at)) next = { actor, due };
      }
      if (!next) break;
      this.#now = Math.max(this.#now, next.due.wakeUp.at);
      await next.actor.fire(next.due).catch((thrown) => failures.push(thrown));
    }
    this.#now = until;
    if (failures.length > 0) throw failures[0];
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

  /** Migrates the state of another schema, as the first turn on a new version does. */
  async migrate(fromLabel) {
    const label = string(fromLabel, "the label");
    await this.#inTurn(async (turn, definition) => {
      if (!definition.hooks.includes("migrate")) throw new TypeError("the class has no migrate()");
      const keys = await outcome(turn, definition.keys(label));
      if (!Array.isArray(keys)) throw new TypeError("migrates must return an array of keys");
      const named = [...new Set(keys.map((key) => string(key, "a key that migrates returns")))];
      const pairs = named.map((key) => [key, ask(() => turn.get(key))]).filter(([, bytes]) => bytes !== null);
      if (pairs.length === 0) return;
      // That of the version before has another state.
      this.#activation = undefined;
      const after = await outcome(turn, new Activation(definition).migrate(label, pairs));
      ask(() => turn.replace(pairs, after));
    });
  }

  /** The first wake-up that is due until a time; for `TestHost.advance`. */
  nextDue(until) {
    let next;
    for (const [key, wakeUp] of this.#wakeUps) {
      if (wakeUp.at <= until && (!next || wakeUp.at < next.wakeUp.at)) next = { key, wakeUp };
    }
    return next;
  }

  /** Fires one; for `TestHost.advance`. It stays registered until its turn commits. */
  async fire({ key, wakeUp }) {
    const { kind, name, schedule, data } = wakeUp;
    try {
      await this.#turn((activation) => activation.wakeUp(HOOKS[kind], name, data), { key, wakeUp });
    } catch (thrown) {
      wakeUp.tries += 1;
      const isGivenUp = kind === "timer" || (schedule.periodMs !== null && wakeUp.tries >= TRIES);
      if (isGivenUp) passOn(this.#wakeUps, { key, wakeUp }, this.#host.now);
      else wakeUp.at = this.#host.now + Math.min(FIRST_WAIT * 2 ** (wakeUp.tries - 1), LONGEST_WAIT);
      throw thrown;
    }
  }

  /** A call of the instance, which is activated if it is new. `fired` is the wake-up that it handles. */
  #turn(call, fired) {
    return this.#inTurn(async (turn, definition) => {
      if (!this.#activation) {
        this.#activation = new Activation(definition);
        await outcome(turn, this.#activation.hook("activate"));
      }
      return outcome(turn, call(this.#activation));
    }, fired);
  }

  /** Runs `body` as a turn, after those before it. */
  #inTurn(body, fired) {
    const result = this.#last.then(() => this.#run(body, fired));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #run(body, fired) {
    const { definition, options, number } = this.#host.context();
    const actor = { id: this.#id, number, fired, hooks: definition.hooks, stored: this.#stored, wakeUps: this.#wakeUps };
    const turn = new Turn(this.#host, options, actor);
    try {
      return await within(turn, async () => {
        const reply = await body(turn, definition);
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
function passOn(wakeUps, { key, wakeUp }, now) {
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

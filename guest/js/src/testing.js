// A host in memory, for tests of an agent: the same class, its state, events, bindings, wake-ups and a clock.
//
// A turn is all or nothing here, too: when a method throws, its writes and effects are gone, and so is the instance.
import { Activation, failureOf, faultOf, openFailure, unheardFailure } from "./agent.js";
import { options as checked, string } from "./check.js";
import { ask, Failed, Failure, Invalid, NotFound } from "./failures.js";
import { fromBytes, toBytes } from "./json.js";
import { settled, within } from "./host/turn.js";
import { HOOKS, passOn, Turn } from "./staging.js";

// As the host has them, where the manifest says nothing else. All times are milliseconds.
/** The tries of one firing of a reminder with a period. One without is tried until its turn succeeds. */
const TRIES = 8;
/** The wait before the second try, which doubles with each further one, and the longest. */
const [FIRST_WAIT, LONGEST_WAIT] = [500, 60_000];
/** The keys of its options. */
const OPTIONS = ["type", "now", "config", "secrets", "bindings", "actors"];

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
    this.#options = checked(options, "the second value of TestHost", OPTIONS);
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

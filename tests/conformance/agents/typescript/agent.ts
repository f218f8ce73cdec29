// The agent of the conformance cases in TypeScript. What each method does is in ../README.md. It is used three
// times: as a script (`component = "agent.ts"`), and built by `daca-js build` with each engine.
import {
  actorId, actors, agent, agentType, bindings, config, Failed, HostError, Invalid, log, NotFound, publish, reminders,
  secrets, state, timers, turnId,
} from "@daca/sdk";

interface Wake { name: string; due_ms: number; period_ms?: number | null; ttl_ms?: number | null; data?: unknown }
interface Binding { binding: string; operation: string; data?: string; metadata?: Record<string, string> }
type Case = "invalid" | "not-found" | "failed";

/** The value, or what the host rejected: the turn ends well then. */
function answer<T>(ask: () => T): T | null | { error: string } {
  try {
    return ask() ?? null;
  } catch (thrown) {
    if (thrown instanceof HostError) return { error: thrown.code };
    throw thrown;
  }
}

function failure(kind: Case, message: string): Error {
  if (kind === "invalid") return new Invalid(message);
  return kind === "not-found" ? new NotFound(message) : new Failed(message);
}

function register(door: typeof reminders, { name, due_ms, period_ms, ttl_ms, data }: Wake) {
  return answer(() => door.register(name, { due: due_ms, period: period_ms ?? undefined, ttl: ttl_ms ?? undefined }, data));
}

function registration(door: typeof reminders, name: string) {
  return answer(() => {
    const found = door.get(name);
    if (!found) return null;
    const { due, period, ttl, data } = found;
    const ms = (value?: number) => (value === undefined ? null : Number(value));
    return { name, due_ms: ms(due), period_ms: ms(period), ttl_ms: ms(ttl), data };
  });
}

/** Records a firing. Data with `fails_without` fails as long as the state has no such key. */
function record(kind: string, name: string, data: any) {
  if (data?.fails_without && state.get(data.fails_without) === undefined) {
    throw new Failed(`the ${kind} ${name} waits for the key ${data.fails_without}`);
  }
  append("fired", { kind, name, data });
}

/** Records an effect that was given up. */
function recordFailed(effect: any, { code, message }: { code: string; message: string }) {
  const { kind, attempts } = effect;
  const isEvent = kind === "publish";
  const target = isEvent ? effect.topic : `${effect.binding}/${effect.operation}`;
  const data = new TextDecoder().decode(isEvent ? effect.event : effect.data);
  append("failed", { kind, target, data, attempts, reason: { code, message } });
}

function append(key: string, value: unknown) {
  state.set(key, [...state.get<unknown[]>(key, []), value]);
}

const one = async () => 1;
async function* ones(count: number) { for (let n = 0; n < count; n++) yield await one(); }
async function* passedOn(count: number) { yield* ones(count); }

class Conformance {
  #calls = 0;
  #held: Uint8Array[] = [];

  activate() { state.set("activations", state.get<number>("activations", 0) + 1); }
  deactivate() { state.set("deactivations", state.get<number>("deactivations", 0) + 1); }
  onReminder(name: string, data: unknown) { record("reminder", name, data); }
  onTimer(name: string, data: unknown) { record("timer", name, data); }
  onEffectFailed(effect: unknown, reason: { code: string; message: string }) { recordFailed(effect, reason); }
  migrate(before: Map<string, unknown>, from: string) {
    return new Map([["migrated", { from, value: before.get("migrated") ?? null }]]);
  }

  // ---- State.

  Set({ key, value, ttl }: { key: string; value: unknown; ttl?: number }) {
    return answer(() => state.set(key, value, ttl === undefined ? {} : { ttl }));
  }
  Get({ key }: { key: string }) { return answer(() => state.get(key)); }
  GetMany({ keys }: { keys: string[] }) { return answer(() => state.getMany(keys).map((value) => value ?? null)); }
  Delete({ key }: { key: string }) { return answer(() => state.delete(key)); }
  ReadOwnWrites({ key, value }: { key: string; value: unknown }) {
    return answer(() => {
      state.set(key, value);
      const set = state.get(key);
      state.delete(key);
      const deleted = state.get(key) ?? null;
      state.set(key, value);
      return [set, deleted, state.getMany([key])[0]];
    });
  }

  // ---- Payloads and replies.

  Echo(payload: unknown) { return payload; }
  Optional(payload: unknown = "none") { return payload; }
  Nothing() {}
  Length({ text }: { text: string }) {
    return { characters: [...text].length, bytes: new TextEncoder().encode(text).length };
  }
  Repeat({ text }: { text: string }) { return text.repeat(100); }
  Sum({ a, b }: { a: string; b: string }) { return String(BigInt(a) + BigInt(b)); }

  // ---- Turns that do not end well.

  Fail({ case: kind, message = "" }: { case: Case; message?: string }) { throw failure(kind, message); }
  Throw({ message }: { message: string }) { throw new RangeError(message); }
  Stage({ key, value, ending }: { key: string; value: unknown; ending: string }) {
    state.set(key, value);
    publish("daca-pubsub/conformance", value);
    bindings.send("outbox", "create", "staged");
    reminders.register("staged", { due: 0 }, value);
    timers.register("staged", { due: 0 }, value);
    if (ending === "well") return "well";
    throw ending === "throw" ? new RangeError("as it was told") : failure(ending as Case, "as it was told");
  }
  Hold({ mebibytes }: { mebibytes: number }) { return this.#held.push(new Uint8Array(mebibytes << 20).fill(1)); }
  Spin() { for (;;); }
  /** In each form that `await` has: compilers translate them in different ways. */
  async Awaits({ count }: { count: number }) {
    let waited = 0;
    for await (const step of passedOn(count)) waited += step * (await one());
    return waited;
  }

  // ---- Effects, and what acts at once.

  Publish({ topic, event, delivered }: { topic: string; event: unknown; delivered?: string }) {
    return answer(() => {
      const effect = publish(topic, event);
      if (delivered !== undefined) effect.logOutcome(delivered, "undeliverable");
      return null;
    });
  }
  Send({ binding, operation, data = "", metadata }: Binding) {
    return answer(() => (bindings.send(binding, operation, data, metadata), null));
  }
  InvokeBinding({ binding, operation, data = "", metadata }: Binding) {
    return answer(() => bindings.invoke(binding, operation, data, metadata).text());
  }
  CallActor({ type, id, method, payload = null }: { type: string; id: string; method: string; payload?: unknown }) {
    return answer(() => actors.invoke(type, id, method, payload));
  }
  FailedEffects() { return state.get("failed", []); }

  // ---- Reminders and timers.

  RegisterReminder(wake: Wake) { return register(reminders, wake); }
  GetReminder({ name }: { name: string }) { return registration(reminders, name); }
  UnregisterReminder({ name }: { name: string }) { return answer(() => reminders.unregister(name)); }
  RegisterTimer(wake: Wake) { return register(timers, wake); }
  GetTimer({ name }: { name: string }) { return registration(timers, name); }
  UnregisterTimer({ name }: { name: string }) { return answer(() => timers.unregister(name)); }
  Fired() { return state.get("fired", []); }

  // ---- What the host tells and is told.

  Activations() {
    return { activations: state.get("activations", 0), deactivations: state.get("deactivations", 0) };
  }
  Calls() { return ++this.#calls; }
  WhoAmI() { return { agent_type: agentType(), actor_id: actorId(), turn_id: turnId() }; }
  Setting({ key }: { key: string }) { return answer(() => config.get(key)); }
  Secret({ name }: { name: string }) { return answer(() => secrets.get(name)); }
  Log({ level, message }: { level: "debug" | "info" | "warn" | "error"; message: string }) { log[level](message); }
  Random() { return String(Math.random()); }
  Clock() { return Date.now(); }
}

export default agent(Conformance, { schema: "conformance-agents-schema-number-1", migrates: ["migrated"] });

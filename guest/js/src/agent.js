// What makes a class an agent: which of its methods callers reach, and how a call becomes a method's.
import { options, string } from "./check.js";
import { Failed, Failure, NotFound } from "./failures.js";
import { headOf, inspect } from "./inspect.js";
import { asBytes, fromBytes, fromPayload, toBytes, utf8 as toUtf8, whole } from "./json.js";

/** Methods that the host calls, and no caller. */
const HOOKS = ["activate", "deactivate", "onReminder", "onTimer", "onEffectFailed", "migrate"];

/** Makes a class an agent. Its methods are those of the agent, by their names; `_name` and `#name` stay its own. */
export function agent(Class, more = {}) {
  if (typeof Class !== "function" || !Class.prototype) throw new TypeError("agent() takes a class");
  const { schema, migrates = [] } = options(more, "the second value of agent()", ["schema", "migrates"]);
  const methods = [];
  const hooks = [];
  for (let proto = Class.prototype; proto && proto !== Object.prototype; proto = Object.getPrototypeOf(proto)) {
    for (const name of Object.getOwnPropertyNames(proto)) {
      const method = Object.getOwnPropertyDescriptor(proto, name).value;
      if (typeof method !== "function" || name === "constructor" || name.startsWith("_")) continue;
      const list = HOOKS.includes(name) ? hooks : methods;
      if (!list.includes(name)) list.push(name);
    }
  }
  if (hooks.includes("migrate") !== (schema !== undefined)) {
    throw new TypeError("migrate() and the option schema belong together: agent(Class, { schema: \"2\", migrates: [keys] })");
  }
  if (schema !== undefined) {
    const { length } = toUtf8(string(schema, "schema"));
    if (length < 1 || length > 64) throw new TypeError(`schema must have 1 to 64 bytes, and has ${length}`);
  }
  if (typeof migrates !== "function") {
    if (!Array.isArray(migrates)) throw new TypeError("migrates must be an array of keys, or a function that returns one");
    for (const key of migrates) string(key, "a key of migrates");
  }
  const keys = typeof migrates === "function" ? migrates : () => migrates;
  return Object.freeze({ Class, methods, hooks, schema, keys });
}

/** One activation of an agent: the instance of its class, made at the first use. */
export class Activation {
  #agent;
  #instance;
  constructor(definition) {
    if (!definition?.Class) throw new TypeError("the module's default export is no agent: write `export default agent(MyClass)`");
    this.#agent = definition;
  }
  #get() {
    return (this.#instance ??= new this.#agent.Class());
  }
  #has(hook) {
    return this.#agent.hooks.includes(hook);
  }
  /** Runs a method of a caller: with the value of the payload, and with its bytes. */
  invoke(method, payload) {
    if (!this.#agent.methods.includes(method)) {
      const has = this.#agent.methods.join(", ") || "none";
      throw new NotFound(`the agent has no method ${JSON.stringify(method)}; it has ${has}`);
    }
    const value = fromPayload(payload);
    const payloads = value === undefined ? [] : [value, asBytes(payload)];
    return settled(this.#get()[method](...payloads), toBytes);
  }
  /** Runs a hook, when the class has it. */
  hook(name, ...values) {
    return this.#has(name) ? settled(this.#get()[name](...values), () => undefined) : undefined;
  }
  wakeUp(hook, name, data) {
    if (!this.#has(hook)) throw new NotFound(`the agent has no ${hook}()`);
    return this.hook(hook, name, fromBytes(data));
  }
  effectFailed(effect, reason) {
    const { tag, val } = effect.request;
    const request = tag === "publish"
      ? { kind: tag, topic: `${val.pubsub}/${val.topic}`, event: asBytes(val.event) }
      : { kind: tag, binding: val.binding, operation: val.operation, data: asBytes(val.data), metadata: Object.fromEntries(val.metadata) };
    return this.hook("onEffectFailed", { id: effect.id, attempts: effect.attempts, ...request }, { code: reason.tag, message: reason.val });
  }
  migrate(fromLabel, pairs) {
    const before = new Map(pairs.map(([key, bytes]) => [key, fromBytes(bytes)]));
    return settled(this.#get().migrate(before, fromLabel), (after) => {
      if (!(after instanceof Map)) throw new TypeError("migrate() returns a Map of keys and values");
      return [...after].map(([key, value]) => [string(key, "a key of migrate()'s Map"), toBytes(value)]);
    });
  }
}

/** The result of a method, waited for if it is a promise. `map` makes the host's value of it. */
function settled(result, map) {
  return typeof result?.then === "function" ? Promise.resolve(result).then(map) : map(result);
}

/** The most characters of a failure's text. */
const MAX_TEXT = 16 * 1024;
const TAGS = ["invalid", "not-found", "failed"];

/**
 * What a thrown value is to the host: the case, and the text that its caller reads. A script may throw anything, such as
 * an object whose fields throw again: never throws itself.
 */
export function failureOf(thrown) {
  try {
    if (!(thrown instanceof Error)) return { tag: "failed", val: textOf(thrown) };
    if (!(thrown instanceof Failure)) return { tag: "failed", val: bounded(headOf(thrown)) };
    const { tag, message } = thrown;
    return { tag: TAGS.includes(tag) ? tag : "failed", val: bounded(String(message)) };
  } catch {
    return { tag: "failed", val: "the agent threw a value that cannot be shown" };
  }
}

/**
 * What the log has of it, if that is more than what the caller reads: the stack of a fault, and the cause of a failure
 * on purpose. Never throws.
 */
export function faultOf(thrown) {
  try {
    if (!(thrown instanceof Error) || (thrown instanceof Failure && thrown.cause === undefined)) return undefined;
    return textOf(thrown);
  } catch {
    return undefined;
  }
}

/** What engines throw when there is no memory for an error: QuickJS `null`, StarlingMonkey the text. */
const OUT_OF_MEMORY = [null, "out of memory"];

/** A thrown value with its stack and its cause. Never throws. */
export function textOf(thrown) {
  const text = inspect(thrown);
  if (isError(thrown)) return bounded(text);
  const cause = OUT_OF_MEMORY.includes(thrown)
    ? ". The engine throws the same when its memory is exhausted, the limit `memory` of its type" : "";
  const shown = typeof thrown === "string" ? JSON.stringify(thrown) : text;
  return bounded(`the agent threw a value that is no Error, and so has no stack: ${shown}${cause}`);
}

function isError(thrown) {
  try {
    return thrown instanceof Error;
  } catch {
    return false;
  }
}

/** Without empty lines at its end. */
function bounded(text) {
  return whole(text.slice(0, MAX_TEXT)).trimEnd();
}

/** The failure of a turn in which a promise was rejected, and nothing reacted to it: perhaps an `await` is forgotten. */
export function unheardFailure(reason) {
  const { val } = failureOf(reason);
  return new Failed(`a promise was rejected and nothing waits for it, perhaps since an \`await\` is missing: ${val}`, { cause: reason });
}

/** The failure of a turn whose method waits for a promise that is open when all has run. */
export function openFailure() {
  return new Failed("the method waits for a promise that nothing settles: there are no timers and no network here");
}

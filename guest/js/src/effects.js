// Effects: what leaves after the turn's commit. Each returns a handle for the log line of its outcome.
import * as pubsub from "#host/pubsub";
import * as outputs from "#host/bindings";
import * as outcomes from "#host/effects";
import { record, string } from "./check.js";
import { ask } from "./failures.js";
import { asBytes, fromBytes, text, toBytes, utf8 } from "./json.js";

class Effect {
  #id;
  constructor(id) {
    this.#id = id;
  }
  /** The log line that the host writes when the effect has been delivered, or cannot be. */
  logOutcome(delivered, undeliverable) {
    const done = string(delivered, "the line of a delivered effect");
    const failed = string(undeliverable, "the line of an undeliverable effect");
    ask(() => outcomes.logOutcome(this.#id, done, failed));
    return this;
  }
}

/** Stages an event. `component/topic` names the topic, such as `daca-pubsub/user-chat`. */
export function publish(topic, event) {
  const name = string(topic, "the topic");
  const cut = name.indexOf("/");
  if (cut < 1) throw new TypeError(`"${topic}" is no topic: write component/topic`);
  const bytes = toBytes(event);
  return new Effect(ask(() => pubsub.publish(name.slice(0, cut), name.slice(cut + 1), bytes)));
}

// Text goes to a binding as it is, and not as JSON in quotes: an SMS is its text.
const data = (value) => (value === undefined ? new Uint8Array() : typeof value === "string" ? utf8(value) : toBytes(value));

function pairs(metadata) {
  return Object.entries(record(metadata ?? {}, "the metadata")).map(([name, value]) => {
    const isPlain = ["string", "number", "boolean", "bigint"].includes(typeof value);
    return [string(name, "a name"), string(isPlain ? String(value) : value, `the metadata's value ${name}`)];
  });
}

/** The arguments of a call of a binding. */
function request(name, operation, value, metadata) {
  return [string(name, "the name of the binding"), string(operation, "the operation"), data(value), pairs(metadata)];
}

export const bindings = {
  /** Calls a binding now and waits. The call stands even if the turn fails: use it to read, and `send` to write. */
  invoke(name, operation, value, metadata) {
    const call = request(name, operation, value, metadata);
    const answer = ask(() => outputs.invoke(...call));
    const bytes = asBytes(answer.data);
    return {
      bytes,
      metadata: Object.fromEntries(answer.metadata),
      text: () => text(bytes),
      json: () => fromBytes(bytes),
    };
  },
  /** Stages a one-way call of a binding. */
  send(name, operation, value, metadata) {
    const call = request(name, operation, value, metadata);
    return new Effect(ask(() => outputs.send(...call)));
  },
};

// Effects: what leaves after the turn's commit. Each returns a handle for the log line of its outcome.
import * as pubsub from "#host/pubsub";
import * as outputs from "#host/bindings";
import * as outcomes from "#host/effects";
import { ask } from "./failures.js";
import { asBytes, fromBytes, text, toBytes, utf8, whole } from "./json.js";

class Effect {
  #id;
  constructor(id) {
    this.#id = id;
  }
  /** The log line that the host writes when the effect has been delivered, or cannot be. */
  logOutcome(delivered, undeliverable) {
    ask(() => outcomes.logOutcome(this.#id, whole(delivered), whole(undeliverable)));
    return this;
  }
}

/** Stages an event. `component/topic` names the topic, such as `daca-pubsub/user-chat`. */
export function publish(topic, event) {
  const cut = topic.indexOf("/");
  if (cut < 1) throw new TypeError(`"${topic}" is no topic: write component/topic`);
  return new Effect(ask(() => pubsub.publish(whole(topic.slice(0, cut)), whole(topic.slice(cut + 1)), toBytes(event))));
}

// Text goes to a binding as it is, and not as JSON in quotes: an SMS is its text.
const data = (value) => (value === undefined ? new Uint8Array() : typeof value === "string" ? utf8(value) : toBytes(value));
const pairs = (metadata) => Object.entries(metadata ?? {}).map(([name, value]) => [whole(name), whole(String(value))]);

export const bindings = {
  /** Calls a binding now and waits. The call stands even if the turn fails: use it to read, and `send` to write. */
  invoke(name, operation, value, metadata) {
    const answer = ask(() => outputs.invoke(whole(name), whole(operation), data(value), pairs(metadata)));
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
    return new Effect(ask(() => outputs.send(whole(name), whole(operation), data(value), pairs(metadata))));
  },
};

// The exports of a component, made of an agent. The engine and the components of `daca-js build` share it.
import { Activation, failureOf } from "./agent.js";
import { string } from "./check.js";
import { awaited } from "./globals/promise.js";

/** What `label` and `keys` of the contract begin with to say that they failed: they return no result. */
const FAILED = "daca:failed\n";

/**
 * The exports for `definition()`, which is asked once, at the first call. `frames` rewrites a stack to the author's
 * files and lines.
 */
export function exportsOf(definition, frames) {
  let activation;
  const current = () => (activation ??= new Activation(definition()));
  const run = (call) => {
    try {
      return value(call());
    } catch (thrown) {
      throw failureOf(thrown, frames);
    }
  };
  /** The same for a function of the contract that returns no result. */
  const told = (call, failed) => {
    try {
      return call();
    } catch (thrown) {
      return failed(FAILED + failureOf(thrown, frames).val);
    }
  };
  return {
    actor: { invoke: (method, payload) => run(() => current().invoke(method, payload)) },
    lifecycle: {
      activate: () => run(() => current().hook("activate")),
      deactivate: () => run(() => current().hook("deactivate")),
    },
    onReminder: { onReminder: (name, data) => run(() => current().wakeUp("onReminder", name, data)) },
    onTimer: { onTimer: (name, data) => run(() => current().wakeUp("onTimer", name, data)) },
    onEffectFailed: { onEffectFailed: (effect, reason) => run(() => current().effectFailed(effect, reason)) },
    migration: {
      label: () => told(() => definition().schema ?? "", (text) => text),
      keys: (fromLabel) => told(() => keysOf(value(definition().keys(fromLabel))), (text) => [text]),
      migrate: (fromLabel, pairs) => run(() => current().migrate(fromLabel, pairs)),
    },
  };
}

function keysOf(found) {
  if (!Array.isArray(found)) throw new TypeError("migrates must return an array of keys");
  return found.map((key) => string(key, "a key that migrates returns"));
}

/**
 * What a promise settled to. The promises of an agent settle at once (see `globals/promise.js`): the host's calls wait
 * by themselves, so there is nothing else to wait for.
 */
function value(result) {
  const outcome = awaited(result, () => {});
  if (!outcome) throw new Error("the method waits for a promise that nothing settles: there are no timers and no network here");
  if (outcome.isRejected) throw outcome.value;
  return outcome.value;
}

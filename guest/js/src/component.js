// The exports of a component, made of an agent. The engine and the components of `daca-js build` share it.
import { Activation, failureOf } from "./agent.js";
import { awaited } from "./globals/promise.js";

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
      label: () => definition().schema ?? "",
      keys: (fromLabel) => definition().keys(fromLabel),
      migrate: (fromLabel, pairs) => run(() => current().migrate(fromLabel, pairs)),
    },
  };
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

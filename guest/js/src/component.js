// The exports of a component, made of an agent. The engine and the components of `daca-js build` share it. `#promises` are
// those of the engine.
import { Activation, failureOf, faultOf, openFailure, textOf, unheardFailure } from "./agent.js";
import { string } from "./check.js";
import { Failed, rejectedRequests } from "./failures.js";
import { awaited, takeUnheard } from "#promises";
import { log } from "./settings.js";

/** What `label` and `keys` of the contract begin with to say that they failed: they return no result. */
export const FAILED = "daca:failed\n";

/** The exports for `definition()`, which is asked once, at the first call. */
export function exportsOf(definition) {
  let activation;
  const current = () => (activation ??= new Activation(definition()));
  const run = (call) => {
    try {
      return value(call());
    } catch (thrown) {
      throw told(thrown);
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
      label() {
        try {
          return definition().schema ?? "";
        } catch (thrown) {
          // Whoever deploys it reads that, and no caller.
          return FAILED + textOf(thrown);
        }
      },
      keys(fromLabel) {
        try {
          return keysOf(value(definition().keys(fromLabel)));
        } catch (thrown) {
          return [FAILED + told(thrown).val];
        }
      },
      migrate: (fromLabel, pairs) => run(() => current().migrate(fromLabel, pairs)),
    },
  };
}

/**
 * Makes an instance, so that a class that cannot be made is refused before it serves. Nothing is said of one that asks
 * the host for something that is not there yet.
 */
export function tryInstance({ Class }) {
  const before = rejectedRequests();
  try {
    new Class();
    value(undefined);
  } catch (thrown) {
    if (rejectedRequests() === before) throw thrown;
  }
}

/** What the host, and so the caller, is told of a thrown value. The log gets its stack. */
export function told(thrown) {
  takeUnheard();
  const fault = faultOf(thrown);
  if (fault) log.error(fault);
  return failureOf(thrown);
}

export function keysOf(found) {
  if (!Array.isArray(found)) throw new TypeError("migrates must return an array of keys");
  return found.map((key) => string(key, "a key that migrates returns"));
}

/**
 * What a promise settled to. The promises of an agent settle at once (see `globals/promise.js`): the host's calls wait
 * by themselves, so there is nothing else to wait for. And what was rejected by now without a reaction stays so.
 */
function value(result) {
  const outcome = awaited(result, () => {});
  const unheard = takeUnheard();
  if (outcome?.isRejected) throw outcome.value;
  if (unheard) throw unheardFailure(unheard.reason);
  if (!outcome) throw openFailure();
  return outcome.value;
}

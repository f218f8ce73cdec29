// The exports of a component on StarlingMonkey. They return promises, which the engine's loop settles before the host
// gets its answer.
import { unheardFailure } from "../agent.js";
import { FAILED, exportsOf as exportsAtOnce, keysOf, told } from "../component.js";
import { Failed } from "../failures.js";
import { endPromises, promisesMade, takeUnheard, unobserved } from "./promises.js";
import { afterPromises, afterTimer, endTimers, timerFault } from "./timers.js";
import { own } from "./values.js";

/** The exports for `definition()`, which is asked once, at the first call. */
export function exportsOf(definition) {
  const made = exportsAtOnce(definition);
  const waited = (calls) => Object.fromEntries(Object.entries(calls).map(([name, call]) => [name, turn(call)]));
  const { label, migrate } = made.migration;
  return {
    actor: waited(made.actor),
    lifecycle: waited(made.lifecycle),
    onReminder: waited(made.onReminder),
    onTimer: waited(made.onTimer),
    onEffectFailed: waited(made.onEffectFailed),
    migration: { label, keys: (fromLabel) => keys(definition, fromLabel), migrate: turn(migrate) },
  };
}

/** An export that waits for what `call` returns. */
function turn(call) {
  return async (...values) => {
    let result;
    try {
      result = ran(() => call(...values.map(own)));
      return await result;
    } catch (thrown) {
      // What the call itself throws is what the host is told.
      throw result === undefined ? thrown : told(thrown);
    } finally {
      end();
    }
  };
}

async function keys(definition, fromLabel) {
  try {
    return keysOf(await ran(() => definition().keys(fromLabel)));
  } catch (thrown) {
    return [FAILED + told(thrown).val];
  } finally {
    end();
  }
}

/** What `call` returns, as a promise if there is anything to wait for. */
function ran(call) {
  const before = promisesMade();
  const result = call();
  return typeof result?.then === "function" || promisesMade() !== before ? settled(result) : result;
}

/** How often a turn is looked at that waits for something unknown: the engine's streams run in its loop, some at a time. */
const MAX_LOOKS = 1000;

/**
 * What a result settles to. It fails when nothing can settle it any more, and for what was rejected or thrown where
 * nobody waits: a turn ends after everything has run that it has begun, but for timers that it does not wait for.
 */
function settled(result) {
  let outcome;
  Promise.resolve(result).then((value) => { outcome = { value }; }, (reason) => { outcome = { thrown: reason }; });
  return unobserved((resolve, reject) => {
    let left = MAX_LOOKS;
    const later = () => afterPromises(look);
    const look = () => {
      if (!outcome && afterTimer(later)) return;
      if (!outcome && left > 0) {
        left -= 1;
        later();
        return;
      }
      const fault = timerFault();
      const unheard = takeUnheard();
      if (outcome && "thrown" in outcome) reject(outcome.thrown);
      else if (fault) reject(fault.thrown);
      else if (unheard) reject(unheardFailure(unheard.reason));
      else if (outcome) resolve(outcome.value);
      else reject(openFailure());
    };
    later();
  });
}

function openFailure() {
  return new Failed("the method waits for a promise that nothing settles: no timer is open, and there is no network here");
}

/** What a turn has left is not the next one's. */
function end() {
  endTimers();
  endPromises();
}

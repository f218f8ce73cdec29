// What an agent on StarlingMonkey has in place of the engine's own globals. All others are those of the engine.
import { console } from "../globals/console.js";
import { ObservedPromise, asyncRun, observeReactions } from "./promises.js";
import { timers } from "./timers.js";

Object.assign(globalThis, { Promise: ObservedPromise, console, ...timers });
observeReactions();
// What async functions call, as those of the other engine (see `../globals/lowered.js`).
Object.defineProperty(globalThis, "__dacaAsync", { value: Object.freeze({ run: asyncRun }) });

// What it throws fails the turn, as that of a promise does.
globalThis.queueMicrotask = (call) => {
  if (typeof call !== "function") throw new TypeError("queueMicrotask() takes a function");
  ObservedPromise.resolve().then(() => { call(); });
};

// The engine's own is a timer that would stay open after the turn.
AbortSignal.timeout = (delay) => {
  const controller = new AbortController();
  const reason = () => new DOMException("the time is over", "TimeoutError");
  timers.setTimeout(() => controller.abort(reason()), delay);
  return controller.signal;
};

// There is no network: the engine would trap, and packages look whether it is there.
delete globalThis.fetch;

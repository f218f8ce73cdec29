// What an agent on StarlingMonkey has in place of the engine's own globals. All others are those of the engine.
import { console } from "../globals/console.js";
import { ObservedPromise } from "./promises.js";
import { timers } from "./timers.js";

Object.assign(globalThis, { Promise: ObservedPromise, console, ...timers });
// What it throws fails the turn, as that of a promise does.
globalThis.queueMicrotask = (call) => {
  if (typeof call !== "function") throw new TypeError("queueMicrotask() takes a function");
  ObservedPromise.resolve().then(() => { call(); });
};

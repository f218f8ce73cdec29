// What the engine lacks of the globals that JavaScript authors expect, and what must come from the host.
import "./early.js";
import { URL, URLSearchParams } from "whatwg-url-minimum";
import { fromAsync } from "./async.js";
import { atob, btoa } from "./base64.js";
import { structuredClone } from "./clone.js";
import { console } from "./console.js";
import { performance } from "./performance.js";
import { SettledPromise } from "./promise.js";
import { crypto, random } from "./random.js";

Object.assign(globalThis, {
  URL,
  URLSearchParams,
  atob,
  btoa,
  console,
  crypto,
  Promise: SettledPromise,
  performance,
  structuredClone,
});
globalThis.queueMicrotask = (call) => { call(); };
Math.random = random;
Object.defineProperty(Array, "fromAsync", { value: fromAsync, writable: true, configurable: true });
// Its promises are the engine's own, which never settle.
delete globalThis.AsyncDisposableStack;

export { babelHelpers } from "./async.js";

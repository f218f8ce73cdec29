// What the engine lacks of the globals that JavaScript authors expect, and what must come from the host.
import "./early.js";
import structuredClone from "@ungap/structured-clone";
import { URL, URLSearchParams } from "whatwg-url-minimum";
import { atob, btoa } from "./base64.js";
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
  structuredClone: (value) => structuredClone(value),
});
globalThis.queueMicrotask = (call) => { call(); };
Math.random = random;

export { babelHelpers } from "./async.js";

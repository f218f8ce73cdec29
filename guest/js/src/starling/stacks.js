// The stacks of a component on StarlingMonkey, which begins with its table. The engine has no hook for them: what
// changes is the property `stack`.
import { writtenFrames } from "./frames.js";

const table = globalThis.__dacaLines;
delete globalThis.__dacaLines;
const own = Object.getOwnPropertyDescriptor(Error.prototype, "stack");

/** The stack of an error, of what the engine wrote. */
function written(error, stack) {
  try {
    return `${error}${writtenFrames(stack, table)}`;
  } catch {
    // A stack must not fail: what threw it would be lost.
    return "Error";
  }
}

Object.defineProperty(Error.prototype, "stack", {
  ...own,
  get() {
    const stack = own.get.call(this);
    return typeof stack === "string" ? written(this, stack) : stack;
  },
});

// It makes a property of its own.
const { captureStackTrace } = Error;
Error.captureStackTrace = (target, ...above) => {
  const taken = {};
  captureStackTrace(taken, ...above);
  Object.defineProperty(target, "stack", { value: written(target, taken.stack), writable: true, configurable: true });
};

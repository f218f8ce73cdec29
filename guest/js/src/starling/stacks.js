// The stacks of a component on StarlingMonkey, which begins with its table. The engine has no hook for them: what changes
// is the property `stack`.
import { writtenFrames } from "./frames.js";

const table = globalThis.__dacaLines;
delete globalThis.__dacaLines;
const own = Object.getOwnPropertyDescriptor(Error.prototype, "stack");

Object.defineProperty(Error.prototype, "stack", {
  ...own,
  get() {
    const stack = own.get.call(this);
    try {
      return typeof stack === "string" ? `${this}${writtenFrames(stack, table)}` : stack;
    } catch {
      // A stack must not fail: what threw it would be lost.
      return "Error";
    }
  },
});

// `structuredClone`, which QuickJS does not have. It is no recursion: the stack is small.

const { DOMException = Error } = globalThis;
const ERRORS = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
/** What is an object for its users alone: there is nothing that a copy could be made of. */
const UNIQUE = /^\[object (?:Promise|WeakMap|WeakSet|WeakRef|FinalizationRegistry|(?:Async)?Generator)\]$/;

/** A copy of a value with all that it holds. What is there twice is there twice in the copy, and no more. */
export function structuredClone(value) {
  const copies = new Map();
  /** Copies whose own values are still missing. */
  const open = [];
  const copyOf = (from) => {
    if (typeof from === "symbol" || typeof from === "function") throw refused(from);
    if (typeof from !== "object" || from === null) return from;
    let copy = copies.get(from);
    if (!copy) {
      copy = empty(from, copyOf);
      copies.set(from, copy);
      open.push([from, copy]);
    }
    return copy;
  };
  const result = copyOf(value);
  // The list grows while it is walked.
  for (const [from, copy] of open) fill(from, copy, copyOf);
  return result;
}

function refused(value) {
  const what = typeof value === "object" ? Object.prototype.toString.call(value) : String(value);
  return new DOMException(`${what.slice(0, 100)} could not be cloned.`, "DataCloneError");
}

/** A copy without the values that it holds. */
function empty(from, copyOf) {
  if (Array.isArray(from)) return new Array(from.length);
  if (from instanceof Map) return new Map();
  if (from instanceof Set) return new Set();
  if (from instanceof Date) return new Date(from.getTime());
  if (from instanceof RegExp) return new RegExp(from.source, from.flags);
  if (from instanceof Boolean || from instanceof Number || from instanceof String || from instanceof BigInt) return Object(from.valueOf());
  if (from instanceof ArrayBuffer) return from.slice(0);
  // Two views of one buffer are two views of its copy.
  if (ArrayBuffer.isView(from)) return view(from, copyOf(from.buffer));
  if (from instanceof Error) return error(from);
  if (from instanceof Symbol || UNIQUE.test(Object.prototype.toString.call(from))) throw refused(from);
  return {};
}

function view(from, buffer) {
  if (from instanceof DataView) return new DataView(buffer, from.byteOffset, from.byteLength);
  // The kind by its slot, and not by its constructor, which a class of the author may be.
  const { get: kindOf } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Int8Array.prototype), Symbol.toStringTag);
  return new globalThis[kindOf.call(from)](buffer, from.byteOffset, from.length);
}

function error(from) {
  const Kind = Object.hasOwn(ERRORS, from.name) ? ERRORS[from.name] : Error;
  const copy = new Kind(from.message === undefined ? undefined : String(from.message));
  define(copy, "stack", from.stack, false);
  return copy;
}

function fill(from, copy, copyOf) {
  if (copy instanceof Map) {
    for (const [key, value] of [...from]) copy.set(copyOf(key), copyOf(value));
  } else if (copy instanceof Set) {
    for (const value of [...from]) copy.add(copyOf(value));
  } else if (copy instanceof Error) {
    if (Object.hasOwn(from, "cause")) define(copy, "cause", copyOf(from.cause), false);
  } else if (Array.isArray(copy) || Object.getPrototypeOf(copy) === Object.prototype) {
    for (const key of Object.keys(from)) define(copy, key, copyOf(from[key]), true);
  }
}

/** Sets a key, which may be `__proto__`. */
function define(copy, key, value, enumerable) {
  Object.defineProperty(copy, key, { value, enumerable, writable: true, configurable: true });
}

// Checks of what an author hands to the SDK. The engine's own bindings trap at a value of another type, which says
// nothing and ends the instance.

const PLAIN = "Object";
const ARTICLES = { [PLAIN]: "an object", Array: "an array" };

/** What a value is, for a message. Never throws. */
function kind(value) {
  if (value === null) return "null";
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (typeof value !== "object") return typeof value === "string" ? "a string" : typeof value;
  const name = classOf(value);
  return ARTICLES[name] ?? `of the kind ${name}`;
}

/** `Object` for plain objects and instances of the author's classes, and `Date`, `Map` and the like. */
function classOf(value) {
  try {
    return Object.prototype.toString.call(value).slice("[object ".length, -1);
  } catch {
    return PLAIN;
  }
}

/** A string as the host takes it, or a TypeError. Half of a surrogate pair would end the instance. */
export function string(value, what) {
  if (typeof value !== "string") throw new TypeError(`${what} must be a string, and is ${kind(value)}`);
  return value.toWellFormed();
}

/** A whole number within bounds, or a TypeError. */
export function integer(value, what, least, most) {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new TypeError(`${what} must be a whole number from ${least} to ${most}, and is ${kind(value)}`);
  }
  return value;
}

/** An object of names and values, or a TypeError: those of an array, a `Map` or a promise would be none. */
export function record(value, what) {
  if (typeof value !== "object" || value === null || classOf(value) !== PLAIN) {
    throw new TypeError(`${what} must be an object, and is ${kind(value)}`);
  }
  return value;
}

/** Options with no other keys than the known ones, or a TypeError: a misspelt one would mean nothing, in silence. */
export function options(value, what, known) {
  const unknown = Object.keys(record(value, what)).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new TypeError(`${what} must not have the key ${JSON.stringify(unknown)}: its keys are ${known.join(", ")}`);
  }
  return value;
}

// Checks of what an author hands to the SDK. The engine's own bindings trap at a value of another type, which says
// nothing and ends the instance.

/** What a value is, for a message. Never throws. */
function kind(value) {
  if (value === null) return "null";
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  return typeof value === "object" ? "an object" : typeof value === "string" ? "a string" : typeof value;
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

/** Options, or a TypeError. */
export function options(value, what) {
  if (typeof value !== "object" || value === null) throw new TypeError(`${what} must be an object, and is ${kind(value)}`);
  return value;
}

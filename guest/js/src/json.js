// Values as the bytes that host and agents exchange: JSON in UTF-8.
import { ask, HostError, Invalid } from "./failures.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** The depth of lists and objects that the SDKs of all languages read. */
const MAX_DEPTH = 127;
const DEEP = `its lists and objects are nested more than ${MAX_DEPTH} levels deep`;
const [QUOTE, BACKSLASH, LIST, LIST_END, OBJECT, OBJECT_END] = [...'"\\[]{}'].map((character) => character.charCodeAt(0));

/** The bytes of a value. Bytes stay as they are; `undefined` is `null`. What could not be read again is refused. */
export function toBytes(value) {
  if (value instanceof Uint8Array) return value;
  const text = JSON.stringify(value === undefined ? null : value);
  if (text === undefined) throw new TypeError(`a ${typeof value} is no JSON value`);
  const bytes = encoder.encode(text);
  if (isTooDeep(bytes)) throw new RangeError(`the value cannot be written as JSON: ${DEEP}`);
  return bytes;
}

/** The value of bytes that hold JSON; `undefined` for no bytes at all. */
export function fromBytes(data, refuse) {
  if (!data || data.length === 0) return undefined;
  const bytes = asBytes(data);
  if (isTooDeep(bytes)) throw new SyntaxError(DEEP);
  const text = decoder.decode(bytes);
  return JSON.parse(text, SURROGATE.test(text) ? refuse : undefined);
}

function isTooDeep(bytes) {
  if (!hasManyBrackets(bytes)) return false;
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) at = endOfText(bytes, at);
    else if (byte === LIST || byte === OBJECT) depth++;
    else if (byte === LIST_END || byte === OBJECT_END) depth--;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/** Few values have more brackets than the levels that are permitted: the others need no closer look. */
function hasManyBrackets(bytes) {
  let count = 0;
  for (const bracket of [LIST, OBJECT]) {
    for (let at = bytes.indexOf(bracket); at >= 0; at = bytes.indexOf(bracket, at + 1)) {
      if (++count > MAX_DEPTH) return true;
    }
  }
  return false;
}

/** The place of the quote that ends a text; the last byte of JSON that has none. */
function endOfText(bytes, start) {
  for (let at = bytes.indexOf(QUOTE, start + 1); at >= 0; at = bytes.indexOf(QUOTE, at + 1)) {
    let escapes = at;
    while (bytes[escapes - 1] === BACKSLASH) escapes--;
    if ((at - escapes) % 2 === 0) return at;
  }
  return bytes.length;
}

/** Half of a surrogate pair can only be written as an escape: the bytes are UTF-8. */
const SURROGATE = /\\u[dD][89a-fA-F]/;

function refuseHalves(key, value) {
  if (!key.isWellFormed() || (typeof value === "string" && !value.isWellFormed())) {
    throw new SyntaxError("it has half of a surrogate pair");
  }
  return value;
}

/**
 * The value of a payload: what is no JSON is the caller's fault, and so is half of a surrogate pair, which is no text.
 * Anything else is not: the engine may be out of memory, or of stack.
 */
export function fromPayload(bytes) {
  try {
    return fromBytes(bytes, refuseHalves);
  } catch (thrown) {
    // The decoder's, for bytes that are not UTF-8, is a TypeError.
    const isRefused = thrown instanceof SyntaxError || thrown instanceof TypeError;
    throw isRefused ? new Invalid(`the payload is not JSON: ${thrown.message}`) : thrown;
  }
}

export const text = (bytes) => decoder.decode(asBytes(bytes));
/** A text as the host takes it. Half of a surrogate pair, which cutting a text may leave, would end the instance. */
export const whole = (text) => (typeof text === "string" ? text.toWellFormed() : text);
export const utf8 = (string) => encoder.encode(string);
/** Some engines give bytes as a plain list of numbers. */
export const asBytes = (bytes) => (bytes instanceof Uint8Array ? bytes : Uint8Array.from(bytes));

export { ask, HostError };

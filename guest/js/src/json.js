// Values as the bytes that host and agents exchange: JSON in UTF-8.
import { ask, HostError, Invalid } from "./failures.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** The bytes of a value. Bytes stay as they are; `undefined` is `null`. */
export function toBytes(value) {
  if (value instanceof Uint8Array) return value;
  const text = JSON.stringify(value === undefined ? null : value);
  if (text === undefined) throw new TypeError(`a ${typeof value} is no JSON value`);
  return encoder.encode(text);
}

/** The value of bytes that hold JSON; `undefined` for no bytes at all. */
export function fromBytes(bytes, refuse) {
  if (!bytes || bytes.length === 0) return undefined;
  const text = decoder.decode(asBytes(bytes));
  return JSON.parse(text, SURROGATE.test(text) ? refuse : undefined);
}

/** Half of a surrogate pair can only be written as an escape: the bytes are UTF-8. */
const SURROGATE = /\\u[dD][89a-fA-F]/;

function refuseHalves(key, value) {
  if (!key.isWellFormed() || (typeof value === "string" && !value.isWellFormed())) {
    throw new SyntaxError("it has half of a surrogate pair");
  }
  return value;
}

/** The value of a payload: what is no JSON is the caller's fault, and so is half of a surrogate pair, which is no text. */
export function fromPayload(bytes) {
  try {
    return fromBytes(bytes, refuseHalves);
  } catch (e) {
    throw new Invalid(`the payload is not JSON: ${e.message}`);
  }
}

export const text = (bytes) => decoder.decode(asBytes(bytes));
/** A text as the host takes it. Half of a surrogate pair, which cutting a text may leave, would end the instance. */
export const whole = (text) => (typeof text === "string" ? text.toWellFormed() : text);
export const utf8 = (string) => encoder.encode(string);
/** Some engines give bytes as a plain list of numbers. */
export const asBytes = (bytes) => (bytes instanceof Uint8Array ? bytes : Uint8Array.from(bytes));

export { ask, HostError };

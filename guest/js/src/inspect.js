// A value as a part of a log line.

/** The most levels of lists and objects that are shown: the engine's stack is small. */
const MAX_DEPTH = 16;
/** The most bytes of a `Uint8Array` and the like that are shown. */
const MAX_BYTES = 64;

/** Text as it is, errors with their stack and their cause, anything else in the manner of JSON. Never throws. */
export function inspect(value) {
  try {
    return typeof value === "string" ? value : shown(value, []);
  } catch {
    return "(a value that cannot be shown)";
  }
}

/** An error's name and message. */
export function headOf(error) {
  const [name, message] = [String(error.name), String(error.message)];
  return message ? `${name}: ${message}` : name;
}

/** The frames of an error's stack: what engines put before them differs. */
function framesOf({ stack }) {
  if (typeof stack !== "string") return "";
  const lines = stack.trimEnd().split("\n");
  const first = lines.findIndex((line) => /^\s+at /.test(line));
  return first < 0 ? "" : `\n${lines.slice(first).join("\n")}`;
}

/** `around` are the lists and objects that the value is a part of. */
function shown(value, around) {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return `[Function ${value.name || "(anonymous)"}]`;
  if (typeof value !== "object" || value === null) return String(value);
  if (around.includes(value)) return "[Circular]";
  if (around.length >= MAX_DEPTH) return Array.isArray(value) ? "[Array]" : "[Object]";
  const inside = [...around, value];
  if (value instanceof Error) return errorText(value, inside);
  if (Array.isArray(value)) return `[${Array.from(value, (item) => shown(item, inside)).join(",")}]`;
  if (typeof value.toJSON === "function") return shown(value.toJSON(), inside);
  if (value instanceof RegExp) return String(value);
  if (value instanceof Map) {
    const pairs = Array.from(value, ([key, item]) => `${shown(key, inside)} => ${shown(item, inside)}`);
    return `Map {${pairs.join(",")}}`;
  }
  if (value instanceof Set) return `Set {${Array.from(value, (item) => shown(item, inside)).join(",")}}`;
  if (ArrayBuffer.isView(value) && typeof value.length === "number") {
    const more = value.length > MAX_BYTES ? `,… ${value.length} in all` : "";
    return `${value.constructor.name} [${Array.from(value.subarray(0, MAX_BYTES), String).join(",")}${more}]`;
  }
  const fields = Object.keys(value).map((key) => `${JSON.stringify(key)}:${shown(value[key], inside)}`);
  const kind = Object.prototype.toString.call(value);
  return fields.length === 0 && kind !== "[object Object]" ? kind : `{${fields.join(",")}}`;
}

/** An error with what it was made of: that of `new Error("…", { cause })`, and those of an `AggregateError`. */
function errorText(error, inside) {
  let text = `${headOf(error)}${framesOf(error)}`;
  if (Object.hasOwn(error, "cause")) text += `\ncaused by ${shown(error.cause, inside)}`;
  if (Array.isArray(error.errors)) {
    for (const one of error.errors) text += `\none of its errors: ${shown(one, inside)}`;
  }
  return text;
}

// `console`, which writes to the host's log.
import { inspect } from "../inspect.js";
import { log } from "../settings.js";

/** How far the groups that are open indent a line. */
let indent = "";
const counts = new Map();
const starts = new Map();

/** The parts of a line. The first one may be a format, as `%s is %d`. */
function line(parts) {
  const [format, ...values] = parts;
  if (typeof format !== "string" || values.length === 0) return parts;
  const text = format.replace(/%[sdifjoOc%]/g, (word) => {
    if (word === "%%") return "%";
    if (values.length === 0) return word;
    const value = values.shift();
    switch (word) {
      case "%d": return number(value, Number);
      case "%i": return number(value, parseInt);
      case "%f": return number(value, parseFloat);
      case "%c": return "";
      default: return inspect(value);
    }
  });
  return [text, ...values];
}

function number(value, read) {
  if (typeof value === "bigint") return `${value}n`;
  return String(typeof value === "symbol" ? NaN : read(value));
}

const at = (level) => (...parts) => {
  const shown = line(parts);
  log[level](...(indent ? [indent + shown.map(inspect).join(" ").replaceAll("\n", `\n${indent}`)] : shown));
};
const [trace, debug, info, warn, error] = ["trace", "debug", "info", "warn", "error"].map(at);

function milliseconds(label) {
  const start = starts.get(label);
  return start === undefined ? undefined : `${label}: ${(performance.now() - start).toFixed(3)}ms`;
}

function group(...parts) {
  if (parts.length > 0) info(...parts);
  indent += "  ";
}

export const console = Object.freeze({
  debug,
  log: info,
  info,
  warn,
  error,
  trace(...parts) {
    const { stack } = new Error();
    trace("Trace:", ...line(parts), `\n${stack.split("\n").slice(1).join("\n")}`);
  },
  assert(held, ...parts) {
    if (!held) error("Assertion failed:", ...line(parts));
  },
  dir: (value) => info(value),
  dirxml: info,
  table: (value) => info(value),
  count(label = "default") {
    const count = (counts.get(String(label)) ?? 0) + 1;
    counts.set(String(label), count);
    info(`${label}: ${count}`);
  },
  countReset(label = "default") {
    counts.delete(String(label));
  },
  time(label = "default") {
    starts.set(String(label), performance.now());
  },
  timeLog(label = "default", ...parts) {
    info(milliseconds(String(label)) ?? `${label}: there is no such timer`, ...parts);
  },
  timeEnd(label = "default") {
    info(milliseconds(String(label)) ?? `${label}: there is no such timer`);
    starts.delete(String(label));
  },
  group,
  groupCollapsed: group,
  groupEnd() {
    indent = indent.slice(2);
  },
  clear() {},
});

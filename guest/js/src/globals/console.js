// `console`, which writes to the host's log.
import { log } from "../settings.js";

export const console = Object.freeze({
  trace: log.trace,
  debug: log.debug,
  log: log.info,
  info: log.info,
  warn: log.warn,
  error: log.error,
  assert(held, ...parts) {
    if (!held) log.error("Assertion failed:", ...parts);
  },
});

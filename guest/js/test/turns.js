// A turn without a host, for the parts of a component.
import { within } from "../src/host/turn.js";

/** What a function returns within a turn, and what it logs. */
export function inTurn(call, more = {}) {
  const lines = [];
  let result;
  within({ unheard: [], now: 0, log: (level, message) => lines.push({ level, message }), ...more }, () => { result = call(); }).catch(() => {});
  return { result, lines };
}

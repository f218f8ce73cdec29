// Stacks as SpiderMonkey writes them, in the author's files and lines.
import { placeIn } from "../frames.js";

/** What the build calls the script. */
const SCRIPT = "agent.js";
/** `name@file:line:column`. */
const FRAME = /^(?:([^@]*)@)?(.*):(\d+):(\d+)$/;

/** The frames that the author knows, by the table of `daca-js build`. */
export function writtenFrames(stack, table) {
  return stack.split("\n").map((line) => {
    const [, name = "", file, number, column] = FRAME.exec(line) ?? [];
    // The table is a line of its own, before those of the bundle.
    const place = file === SCRIPT && placeIn(table, Number(number) - 1, Number(column));
    if (!place) return "";
    // `async*name` is after an `await`, and `name/<` a function without a name within it.
    const plain = name.replace(/^.*\*/, "").replace(/[/<]+$/, "");
    return plain ? `\n    at ${plain} (${place})` : `\n    at ${place}`;
  }).join("");
}

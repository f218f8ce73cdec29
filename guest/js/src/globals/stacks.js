// The stacks of a component of `daca-js build`, which begins with its table.
import { placeIn, writeStacks } from "../frames.js";

const table = globalThis.__dacaLines;
delete globalThis.__dacaLines;
// The table is a line of its own, before those of the bundle.
writeStacks((file, line, column) => (file?.startsWith("componentize-qjs:") ? placeIn(table, line - 1, column) : undefined));

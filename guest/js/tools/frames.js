// From lines of a bundle to those of the author's files.
import { decode } from "@jridgewell/sourcemap-codec";
import { relative, resolve } from "node:path";

/**
 * The table that a component carries: `files`, and for each line of the bundle the number of its file and its line
 * there, or 0. The SDK's own lines are 0: they are no use to an author. Columns are left out: the table would be ten
 * times as large. `base` is what the map's sources are relative to, `sdk` the folder of the SDK's sources.
 */
export function lineTable(map, base, sdk) {
  const { sources, mappings } = JSON.parse(map);
  const own = sources.map((source) => !relative(sdk, resolve(base, source)).startsWith(".."));
  const lines = decode(mappings).map((segments) => {
    const found = segments.find((segment) => segment.length > 1);
    return found && !own[found[1]] ? [found[1], found[2] + 1] : 0;
  });
  return { files: sources.map((source) => source.replace(/^(\.\.\/)+/, "")), lines };
}

// From lines of a bundle to those of the author's files.
import { decode } from "@jridgewell/sourcemap-codec";
import { relative, resolve } from "node:path";

/**
 * The table that a component carries: `files`, and for each line of the bundle the places in it, as columns, numbers of
 * files and lines, one after another: `[1, 0, 12, 18, 0, 13]`. A place is there only if its line is another one than
 * that of the place before. The SDK's own lines have none: they are no use to an author. Columns are counted from 1, in
 * what `width` says of a text: in bytes for QuickJS. `base` is what the map's sources and `files` are relative to, `sdk`
 * the folder of the SDK's sources.
 */
export function lineTable(script, map, base, sdk, width = Buffer.byteLength) {
  const { sources, mappings } = JSON.parse(map);
  const own = sources.map((source) => !relative(sdk, resolve(base, source)).startsWith(".."));
  const texts = script.split("\n");
  const lines = decode(mappings).map((segments, number) => {
    const places = [];
    for (const [column, file, line] of segments) {
      if (file === undefined || own[file]) continue;
      if (places.at(-2) === file && places.at(-1) === line + 1) continue;
      places.push(width(texts[number].slice(0, column)) + 1, file, line + 1);
    }
    return places.length > 0 ? places : 0;
  });
  return { files: sources, lines };
}

// Stacks in the author's files and lines.

/** How deep a stack is kept: between two functions that wait for each other there are frames of the SDK. */
const LIMIT = 64;

/**
 * Makes the engine write the stacks of errors so: in the author's files and lines, which `placeOf(file, line, column)`
 * knows, and without the frames that it does not know, which are those of the SDK and of the engine.
 */
export function writeStacks(placeOf) {
  Error.stackTraceLimit = LIMIT;
  Error.prepareStackTrace = (error, sites) => {
    let text = "Error";
    try {
      text = String(error);
      for (const site of sites) text += frame(site, placeOf);
    } catch {
      // A stack must not fail: what threw it would be lost.
    }
    return text;
  };
}

function frame(site, placeOf) {
  const place = placeOf(site.getFileName(), site.getLineNumber(), site.getColumnNumber());
  if (!place) return "";
  const name = site.getFunctionName();
  return name && name !== "anonymous" ? `\n    at ${name} (${place})` : `\n    at ${place}`;
}

/**
 * The author's line of a line and column of a script that the host has prepared. `lines` has the line in which each of
 * its lines begins, and `further` where one of them goes on in another line of the author's: its number, the column, and
 * the author's line, one after another. 0 if the author has not written it.
 */
export function lineIn({ lines, further }, line, column) {
  let [low, high] = [0, further.length / 3];
  while (low < high) {
    const middle = (low + high) >> 1;
    const [at, from] = [further[3 * middle], further[3 * middle + 1]];
    if (at < line || (at === line && from <= column)) low = middle + 1;
    else high = middle;
  }
  return low > 0 && further[3 * low - 3] === line ? further[3 * low - 1] : (lines[line - 1] ?? 0);
}

/** The place of a line and column by the table of `daca-js build`. */
export function placeIn({ files, lines }, line, column) {
  const places = lines[line - 1];
  if (!places) return undefined;
  let at = 0;
  while (at + 3 < places.length && places[at + 3] <= column) at += 3;
  return `${files[places[at + 1]]}:${places[at + 2]}`;
}

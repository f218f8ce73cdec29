// Stacks of a component in the author's files and lines.

/** A function that rewrites the frames of a stack by the table of `daca-js build`. */
export function mapped({ files, lines }) {
  return (stack) =>
    stack
      .split("\n")
      .map((frame) => {
        const found = /^(.*?)\(?componentize-qjs:[^:]*:(\d+):\d+\)?$/.exec(frame);
        const place = found && lines[Number(found[2]) - 1];
        if (!place) return undefined;
        return `${found[1].trimEnd()} (${files[place[0]]}:${place[1]})`.replace(/at <anonymous> \(/, "at (");
      })
      .filter((frame) => frame !== undefined)
      .join("\n");
}

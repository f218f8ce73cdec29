// A value as a part of a log line.

/** Text as it is, errors with their stack, anything else as JSON where it has some. Never throws. */
export function inspect(value) {
  try {
    return String(shown(value));
  } catch {
    return "(a value that cannot be shown)";
  }
}

function shown(value) {
  if (value instanceof Error) return value.stack ? `${value.name}: ${value.message}\n${value.stack}` : value;
  if (typeof value !== "object" || value === null) return value;
  try {
    return JSON.stringify(value) ?? value;
  } catch {
    return value;
  }
}

/**
 * What the engine's bindings give, as the SDK takes it. They are evaluated in a realm of their own, so that their bytes
 * are no `Uint8Array` here, and have 64 bits as `bigint`: those of the contract are durations, which numbers hold.
 */
export function own(value) {
  if (typeof value === "bigint") return Number(value);
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value)) return Array.from(value, own);
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, own(field)]));
}

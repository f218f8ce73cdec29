// Randomness of the host. The engine's own `Math.random` has its seed in the snapshot: every instance would draw the
// same numbers.
import * as source from "#host/random";

function bytes(count) {
  const drawn = source.getRandomBytes(count);
  return drawn instanceof Uint8Array ? drawn : Uint8Array.from(drawn);
}

let pool = new Uint8Array();
let used = 0;

/** A number from 0 to 1, of 53 random bits. Bytes are drawn 512 at a time. */
export function random() {
  if (used + 7 > pool.length) {
    pool = bytes(512);
    used = 0;
  }
  let value = pool[used + 6] & 31;
  for (let i = 5; i >= 0; i--) value = value * 256 + pool[used + i];
  used += 7;
  return value / 2 ** 53;
}

/** Drops what is drawn: a component's snapshot would have it, and all of its instances the same numbers. */
export function dropDrawn() {
  used = pool.length;
}

export const crypto = Object.freeze({
  getRandomValues(array) {
    if (array.byteLength > 65536) throw new RangeError("getRandomValues() fills at most 65,536 bytes");
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(bytes(array.byteLength));
    return array;
  },
  randomUUID() {
    const b = bytes(16);
    b[6] = (b[6] & 15) | 64;
    b[8] = (b[8] & 63) | 128;
    const hex = [...b].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  },
});

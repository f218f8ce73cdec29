// TextEncoder and TextDecoder for UTF-8, which QuickJS does not have.

export class TextEncoder {
  get encoding() {
    return "utf-8";
  }
  encode(text = "") {
    const string = String(text);
    const out = new Uint8Array(string.length * 3);
    let n = 0;
    for (let i = 0; i < string.length; i++) {
      let c = string.charCodeAt(i);
      if (c < 0x80) {
        out[n++] = c;
        continue;
      }
      if (c >= 0xd800 && c < 0xe000) {
        const low = c < 0xdc00 ? string.charCodeAt(i + 1) : NaN;
        if (low >= 0xdc00 && low < 0xe000) {
          c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
          i++;
        } else {
          c = 0xfffd;
        }
      }
      if (c < 0x800) {
        out[n++] = 0xc0 | (c >> 6);
      } else {
        if (c < 0x10000) {
          out[n++] = 0xe0 | (c >> 12);
        } else {
          out[n++] = 0xf0 | (c >> 18);
          out[n++] = 0x80 | ((c >> 12) & 63);
        }
        out[n++] = 0x80 | ((c >> 6) & 63);
      }
      out[n++] = 0x80 | (c & 63);
    }
    return out.slice(0, n);
  }
}

/** The lead byte's count of further bytes, its own bits, and the least value that needs so many. */
function lead(byte) {
  if (byte >= 0xc2 && byte < 0xe0) return [1, byte & 31, 0x80];
  if (byte >= 0xe0 && byte < 0xf0) return [2, byte & 15, 0x800];
  if (byte >= 0xf0 && byte < 0xf5) return [3, byte & 7, 0x10000];
  return undefined;
}

export class TextDecoder {
  #fatal;
  #keepMark;
  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`the encoding ${label} is not available, only utf-8`);
    this.#fatal = fatal;
    this.#keepMark = ignoreBOM;
  }
  get encoding() {
    return "utf-8";
  }
  decode(input) {
    if (input === undefined) return "";
    const bytes = input instanceof Uint8Array ? input
      : ArrayBuffer.isView(input) ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input);
    const parts = [];
    let units = [];
    const put = (c) => {
      if (c < 0x10000) units.push(c);
      else units.push(0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
      // `apply` puts its values on the stack, which is small.
      if (units.length > 4096) {
        parts.push(String.fromCharCode.apply(null, units));
        units = [];
      }
    };
    let i = !this.#keepMark && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
    while (i < bytes.length) {
      const byte = bytes[i++];
      if (byte < 0x80) {
        put(byte);
        continue;
      }
      const found = lead(byte);
      let c = found ? found[1] : -1;
      for (let left = found ? found[0] : 0; left > 0; left--) {
        const next = bytes[i];
        const first = left === found[0];
        // A byte that cannot follow ends the sequence before it: it may begin the next one.
        const low = first && byte === 0xe0 ? 0xa0 : first && byte === 0xf0 ? 0x90 : 0x80;
        const high = first && byte === 0xed ? 0x9f : first && byte === 0xf4 ? 0x8f : 0xbf;
        if (next === undefined || next < low || next > high) {
          c = -1;
          break;
        }
        c = (c << 6) | (next & 63);
        i++;
      }
      if (c < 0) {
        if (this.#fatal) throw new TypeError("the bytes are not UTF-8");
        c = 0xfffd;
      }
      put(c);
    }
    parts.push(String.fromCharCode.apply(null, units));
    return parts.join("");
  }
}

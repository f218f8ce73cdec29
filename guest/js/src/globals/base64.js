// `atob` and `btoa`.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The base64 of a string whose characters are bytes. */
export function btoa(text) {
  const string = String(text);
  let out = "";
  for (let i = 0; i < string.length; i += 3) {
    const [a, b, c] = [string.charCodeAt(i), string.charCodeAt(i + 1), string.charCodeAt(i + 2)];
    if (a > 255 || b > 255 || c > 255) throw new RangeError("btoa() takes characters of one byte");
    out += ALPHABET[a >> 2] + ALPHABET[((a & 3) << 4) | (b >> 4)];
    out += i + 1 < string.length ? ALPHABET[((b & 15) << 2) | (c >> 6)] : "=";
    out += i + 2 < string.length ? ALPHABET[c & 63] : "=";
  }
  return out;
}

/** The string of bytes that a base64 text stands for. */
export function atob(text) {
  let string = String(text).replace(/[\t\n\f\r ]/g, "");
  if (string.length % 4 === 0) string = string.replace(/={1,2}$/, "");
  if (string.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(string)) throw new RangeError("the text is not base64");
  let out = "";
  let bits = 0;
  let held = 0;
  for (const letter of string) {
    held = ((held << 6) | ALPHABET.indexOf(letter)) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out += String.fromCharCode((held >> bits) & 255);
    }
  }
  return out;
}

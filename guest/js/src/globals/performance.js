// `performance.now()`, from its first call in an instance. The engine's own counts from when the host's release was
// built, and is negative.
const { performance: own } = globalThis;
let origin;

export const performance = Object.freeze({
  now() {
    const at = own.now();
    origin ??= at;
    return at - origin;
  },
});

// The globals that the engine gets from the SDK, against those of Node.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TextDecoder as OurDecoder, TextEncoder as OurEncoder } from "../src/globals/text.js";
import { atob as ourAtob, btoa as ourBtoa } from "../src/globals/base64.js";
import { babelHelpers } from "../src/globals/async.js";
import { performance as ourPerformance } from "../src/globals/performance.js";
import { SettledPromise, asyncRun } from "../src/globals/promise.js";
import { crypto as ourCrypto, random } from "../src/globals/random.js";

test("text is encoded and decoded as everywhere", () => {
  for (const text of ["", "abc", "é€😀", "\ud800x", "x\udc00", "\u0000\u07ff\u0800\uffff", "a".repeat(20_000) + "😀"]) {
    assert.deepEqual(new OurEncoder().encode(text), new TextEncoder().encode(text));
  }
  // Every pair of bytes, after a lead byte of each kind and before ASCII.
  for (const lead of [[], [0xe0], [0xed], [0xf0], [0xf4], [0xe2, 0x82]]) {
    for (let a = 0; a < 256; a += 5) {
      for (let b = 0; b < 256; b += 3) {
        const bytes = Uint8Array.from([...lead, a, b, 0x41]);
        assert.equal(new OurDecoder().decode(bytes), new TextDecoder().decode(bytes), String([...bytes]));
      }
    }
  }
  assert.throws(() => new OurDecoder("utf-8", { fatal: true }).decode(Uint8Array.of(0xff)), TypeError);
  assert.equal(new OurDecoder().decode(Uint8Array.of(0xef, 0xbb, 0xbf, 0x41)), "A");
});

test("base64 is as everywhere", () => {
  for (const text of ["", "a", "ab", "abc", "\u00ff\u0000\u0080x"]) {
    assert.equal(ourBtoa(text), btoa(text));
    assert.equal(ourAtob(btoa(text)), text);
  }
  assert.throws(() => ourAtob("a"), RangeError);
  assert.throws(() => ourBtoa("€"), RangeError);
});

/** What a promise has settled to by now. */
function now(promise) {
  let outcome = "pending";
  promise.then((v) => (outcome = ["ok", v]), (e) => (outcome = ["error", e]));
  return outcome;
}

test("promises settle at once", () => {
  const P = SettledPromise;
  assert.deepEqual(now(P.resolve(1).then((v) => v + 1)), ["ok", 2]);
  assert.deepEqual(now(P.reject(1).catch((v) => P.resolve(v + 1))), ["ok", 2]);
  assert.deepEqual(now(P.all([1, P.resolve(2)])), ["ok", [1, 2]]);
  assert.deepEqual(now(P.all([])), ["ok", []]);
  assert.deepEqual(now(P.all([P.reject("no"), 1])), ["error", "no"]);
  assert.deepEqual(now(P.allSettled([P.reject("no"), 1]))[1].map(({ status }) => status), ["rejected", "fulfilled"]);
  assert.deepEqual(now(P.race([P.resolve(1), 2])), ["ok", 1]);
  assert.deepEqual(now(P.any([P.reject(1), P.resolve(2)])), ["ok", 2]);
  assert.equal(now(P.any([P.reject(1)]))[1].errors[0], 1);
  assert.deepEqual(now(P.resolve(1).finally(() => 9)), ["ok", 1]);
  assert.equal(now(new P(() => {})), "pending");
  const { promise, resolve } = P.withResolvers();
  const later = promise.then((v) => v * 2);
  resolve(4);
  assert.deepEqual(now(later), ["ok", 8]);
  assert.equal(now(new P((ok) => ok({ get then() { throw 5; } })))[1], 5);
});

test("async functions run to their end", () => {
  const run = (body, ...values) => now(asyncRun({ x: 3 }, values, body));
  assert.deepEqual(run(function* (a) { return this.x + a + (yield SettledPromise.resolve(2)); }, 1), ["ok", 6]);
  assert.deepEqual(run(function* () { try { yield SettledPromise.reject(7); } catch (e) { return e; } }), ["ok", 7]);
  assert.deepEqual(run(function* () { throw 8; }), ["error", 8]);
});

test("randomness is within its bounds and differs", () => {
  const drawn = Array.from({ length: 500 }, random);
  assert.ok(drawn.every((x) => x >= 0 && x < 1));
  assert.equal(new Set(drawn).size, 500);
  assert.match(ourCrypto.randomUUID(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notDeepEqual(ourCrypto.getRandomValues(new Uint32Array(4)), new Uint32Array(4));
});

test("the time of an instance begins with it", () => {
  assert.equal(ourPerformance.now(), 0);
  const now = ourPerformance.now();
  assert.ok(now >= 0 && now < performance.now());
});

test("async generators and `for await` run to their end", () => {
  const { asyncGeneratorDelegate, asyncIterator, asyncToGenerator, awaitAsyncGenerator, wrapAsyncGenerator } = babelHelpers;
  const inner = wrapAsyncGenerator(function* () {
    yield 1;
    yield (yield awaitAsyncGenerator(SettledPromise.resolve(2)));
    return 9;
  });
  const outer = wrapAsyncGenerator(function* () {
    const last = yield* asyncGeneratorDelegate(asyncIterator(inner()));
    try {
      yield awaitAsyncGenerator(SettledPromise.reject("no"));
    } catch (e) {
      yield [last, e];
    }
  });
  const all = asyncToGenerator(function* (iterable) {
    const found = [];
    const iterator = asyncIterator(iterable);
    for (let step; !(step = yield iterator.next()).done; ) found.push(step.value);
    return found;
  });
  assert.deepEqual(now(all(outer())), ["ok", [1, 2, [9, "no"]]]);
  assert.deepEqual(now(all([SettledPromise.resolve(1), 2])), ["ok", [1, 2]]);
  assert.equal(now(all(wrapAsyncGenerator(function* () { throw 5; })()))[1], 5);
});

/** The frames on the stack. Node's stack is larger than that of the engine, so the depth is measured. */
const depth = () => new Error().stack.split("\n").length;

test("any number of awaits needs no deeper stack", () => {
  Error.stackTraceLimit = 1000;
  const { asyncIterator, asyncToGenerator, awaitAsyncGenerator, wrapAsyncGenerator } = babelHelpers;
  const inner = asyncToGenerator(function* (n) { return yield n; });
  const numbers = wrapAsyncGenerator(function* (count) {
    for (let n = 0; n < count; n++) yield (yield awaitAsyncGenerator(inner(n))) * 0;
  });
  const all = asyncToGenerator(function* () {
    let sum = 0;
    for (let n = 0; n < 20_000; n++) {
      sum += (yield n) + (yield SettledPromise.resolve(n)) + (yield inner(n)) + (yield { then: (ok) => ok(n) });
      try { yield SettledPromise.reject(n); } catch (e) { sum += e; }
    }
    const iterator = asyncIterator(numbers(5_000));
    for (let step; !(step = yield iterator.next()).done; ) sum += step.value;
    return [sum, depth()];
  });
  const before = depth();
  const [outcome, [sum, after]] = now(all());
  assert.equal(outcome, "ok");
  assert.equal(sum, 5 * (20_000 * 19_999 / 2));
  assert.ok(after < before + 10, `${before} and ${after}`);
});

test("a long chain of promises and a queue of waiting functions settle without a deep stack", () => {
  const { promise, resolve } = SettledPromise.withResolvers();
  let chained = promise;
  for (let n = 0; n < 20_000; n++) chained = chained.then((v) => v + 1);
  let waiting = promise;
  const next = (earlier) => asyncRun(undefined, [], function* () { return (yield earlier) + 1; });
  for (let n = 0; n < 20_000; n++) waiting = next(waiting);
  assert.equal(now(chained), "pending");
  resolve(0);
  assert.deepEqual([now(chained), now(waiting)], [["ok", 20_000], ["ok", 20_000]]);
});

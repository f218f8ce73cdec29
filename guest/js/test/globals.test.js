// The globals that the engine gets from the SDK, against those of Node.
import assert from "node:assert/strict";
import nodeCrypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { test } from "node:test";
import { TextDecoder as OurDecoder, TextEncoder as OurEncoder } from "../src/globals/text.js";
import { atob as ourAtob, btoa as ourBtoa } from "../src/globals/base64.js";
import { structuredClone as ourClone } from "../src/globals/clone.js";
import { console as ourConsole } from "../src/globals/console.js";
import { babelHelpers, fromAsync } from "../src/globals/async.js";
import { performance as ourPerformance } from "../src/globals/performance.js";
import { SettledPromise, asyncRun } from "../src/globals/promise.js";
import { crypto as ourCrypto, dropDrawn, random } from "../src/globals/random.js";
import { inTurn } from "./turns.js";

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

test("numbers that were drawn while a component was built are drawn anew", (t) => {
  random();
  const { mock } = t.mock.method(nodeCrypto, "randomBytes");
  syncBuiltinESMExports();
  try {
    random();
    assert.equal(mock.callCount(), 0);
    dropDrawn();
    random();
    assert.equal(mock.callCount(), 1);
  } finally {
    mock.restore();
    syncBuiltinESMExports();
  }
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

test("a clone is as everywhere", () => {
  const buffer = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer;
  const shared = { n: 1 };
  const value = {
    list: [1, , "x", undefined, shared], shared, map: new Map([[shared, new Set([1n])]]), date: new Date(5), pattern: /x/gi,
    boxed: Object("s"), bytes: new Uint8Array(buffer, 2, 2), view: new DataView(buffer, 4), floats: new Float64Array(buffer),
    error: new RangeError("m", { cause: new Error("c") }), nothing: null, ["__proto__"]: 7,
  };
  value.itself = value;
  const copy = ourClone(value);
  assert.deepEqual(copy, structuredClone(value));
  assert.equal(copy.list[4], copy.shared);
  assert.equal(copy.itself, copy);
  assert.ok(copy.bytes.buffer === copy.view.buffer && copy.bytes.buffer !== buffer);
  assert.ok(copy.error instanceof RangeError && copy.error.cause.message === "c");
  class Own { a = 1; }
  assert.deepEqual(ourClone(new Own()), { a: 1 });
  for (const refused of [() => {}, Symbol("s"), Promise.resolve(), new SettledPromise(() => {}), new WeakMap(), [{ f() {} }]]) {
    assert.throws(() => ourClone(refused), { name: "DataCloneError" });
  }
  // It is no recursion: a list of lists is as deep as it likes.
  let deep = [];
  for (let n = 0; n < 50_000; n++) deep = [deep];
  assert.equal(ourClone(deep).length, 1);
});

test("the console writes what its formats say", () => {
  const { lines } = inTurn(() => {
    ourConsole.log("%s is %d%%, %i, %f, %j%c", "x", "5", 5.5, "1.5", { a: [1] }, "color: red", "more", 1);
    ourConsole.info("100%", "%s");
    ourConsole.table([{ a: 1 }]);
    ourConsole.dir(new Map());
    ourConsole.count();
    ourConsole.count("n");
    ourConsole.count();
    ourConsole.group("G");
    ourConsole.warn("in\nside");
    ourConsole.groupEnd();
    ourConsole.groupEnd();
    ourConsole.assert(true, "held");
    ourConsole.assert(false, "no %s", "way");
    ourConsole.time("t");
    ourConsole.timeLog("t", 1);
    ourConsole.timeEnd("t");
    ourConsole.timeEnd("t");
    ourConsole.trace("here");
  });
  const [elapsed, ended, unknown, trace] = lines.splice(10).map(({ message }) => message);
  assert.deepEqual(lines.map(({ level, message }) => [level, message]), [
    ["info", 'x is 5%, 5, 1.5, {"a":[1]} more 1'], ["info", "100% %s"], ["info", '[{"a":1}]'], ["info", "Map {}"], ["info", "default: 1"],
    ["info", "n: 1"], ["info", "default: 2"], ["info", "G"], ["warn", "  in\n  side"], ["error", "Assertion failed: no way"],
  ]);
  assert.match(elapsed, /^t: \d+\.\d{3}ms 1$/);
  assert.match(ended, /^t: \d+\.\d{3}ms$/);
  assert.match(unknown, /no such timer/);
  assert.match(trace, /^Trace: here.*\n +at .*globals\.test\.js/s);
});

test("`Array.fromAsync` settles", () => {
  const rejected = () => fromAsync([SettledPromise.reject("no")]);
  assert.deepEqual(now(fromAsync([1, SettledPromise.resolve(2)], (n, at) => SettledPromise.resolve(n * 2 + at))), ["ok", [2, 5]]);
  assert.deepEqual(now(fromAsync({ length: 2, 0: "a" })), ["ok", ["a", undefined]]);
  assert.deepEqual(now(fromAsync(babelHelpers.wrapAsyncGenerator(function* () { yield 1; })())), ["ok", [1]]);
  assert.deepEqual(now(rejected()), ["error", "no"]);
  assert.equal(now(fromAsync(null))[0], "error");
  let ended = false;
  const steps = { [Symbol.iterator]: () => ({ next: () => ({ value: 1, done: false }), return() { ended = true; return {}; } }) };
  assert.deepEqual(now(fromAsync(steps, () => { throw "map"; })), ["error", "map"]);
  assert.ok(ended);
});

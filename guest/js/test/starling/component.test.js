// Components on an engine with a loop of its own, with the promises of that engine: run with the condition
// `starlingmonkey`.
import assert from "node:assert/strict";
import { setTimeout as passed } from "node:timers/promises";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { transform } from "esbuild";
import { agent, Failed, state } from "@daca/sdk";
import { within } from "../../src/host/turn.js";
import { exportsOf } from "../../src/starling/component.js";
import { writtenFrames } from "../../src/starling/frames.js";
import { ObservedPromise, asyncRun, observeReactions } from "../../src/starling/promises.js";
import { timers } from "../../src/starling/timers.js";
import { own } from "../../src/starling/values.js";
import { withOwnAsync } from "../../tools/lowered.js";

observeReactions();
globalThis.__dacaAsync = { run: asyncRun };

/** A class of this text, as `daca-js build` makes it: its async functions are generators. */
async function made(text) {
  const { code } = await transform(`return ${text}`, { supported: { "async-await": false, "async-generator": false, "for-await": false } });
  const names = { Promise: ObservedPromise, Failed, state, ...timers };
  return new Function(...Object.keys(names), withOwnAsync(code, ["__async"]))(...Object.values(names));
}

/** What a call of an export is for the host: its result, or what it throws. And the lines of the log. */
async function called(call, more) {
  const own = globalThis.Promise;
  const lines = [];
  globalThis.Promise = ObservedPromise;
  try {
    const turn = { unheard: [], now: 0, log: (level, message) => lines.push({ level, message }), ...more };
    return { result: await within(turn, async () => call()), lines };
  } catch (thrown) {
    return { result: thrown, lines };
  } finally {
    globalThis.Promise = own;
  }
}

async function invoked({ actor }, method, more) {
  const { result, lines } = await called(() => actor.invoke(method, new Uint8Array()), more);
  return { result: result instanceof Uint8Array ? JSON.parse(new TextDecoder().decode(result)) : result, lines };
}

const exportsOfText = async (text, options) => {
  const definition = agent(await made(text), options);
  return exportsOf(() => definition);
};

test("async functions of each form run to their end", async () => {
  const sums = await exportsOfText(`class {
    async *numbers(count) { for (let n = 0; n < count; n++) yield await this.one(n); }
    async *passedOn(count) { yield* this.numbers(count); }
    async one(n) { return await n; }
    async Sum() {
      let sum = 0;
      for await (const n of this.passedOn(100)) sum += n;
      for await (const n of [this.one(1), 2]) sum += n;
      try { await Promise.reject(7); } catch (e) { sum += await e; }
      return sum;
    }
    Plain() { return 5; }
  }`);
  assert.equal((await invoked(sums, "Sum")).result, 4960);
  assert.equal((await invoked(sums, "Plain")).result, 5);
});

test("a promise that is rejected without a reaction fails the turn, with its reason", async () => {
  const forgetful = await exportsOfText(`class {
    async later() { await 1; throw new RangeError("T"); }
    Save() { this.later(); return "ok"; }
    async Awaits() { this.later(); return await 1; }
    Each() { [1, 2].forEach(() => this.later()); }
    Chained() { this.later().then(() => 1).finally(() => {}); }
    Never() { return new Promise(() => this.later()); }
    Rejected() { Promise.reject(new RangeError("T")); }
    async Heard() { const open = this.later(); return Promise.all([open, this.later()]).then(undefined, ({ message }) => message); }
    async Later() { const open = this.later(); await 1; await 2; await 3; try { await open; } catch ({ message }) { return message; } }
    Any() { return Promise.any([this.later(), Promise.race([this.later()]).catch(() => 2)]); }
    Fails() { this.later(); throw new Failed("first"); }
  }`);
  for (const method of ["Save", "Awaits", "Each", "Chained", "Never", "Rejected"]) {
    const { result, lines } = await invoked(forgetful, method);
    assert.equal(result.tag, "failed", method);
    assert.match(result.val, /nothing waits for it.*RangeError: T$/);
    assert.match(lines[0].message, /caused by RangeError: T\n +at /);
  }
  assert.equal((await invoked(forgetful, "Heard")).result, "T");
  assert.equal((await invoked(forgetful, "Later")).result, "T");
  assert.equal((await invoked(forgetful, "Any")).result, 2);
  assert.deepEqual((await invoked(forgetful, "Fails")).result, { tag: "failed", val: "first" });
  assert.equal((await invoked(forgetful, "Heard")).result, "T", "what a turn has left is not the next one's");
});

test("a turn waits for the timers that it awaits, and ends the others", async () => {
  const fired = [];
  const waiting = await exportsOfText(`class {
    async Sleeps() { await new Promise((ok) => setTimeout(ok, 20, 1)); return await new Promise((ok) => setTimeout(ok, 1, 5)); }
    async Leaves() { setTimeout(() => state.set("late", 1), 5); setInterval(() => state.set("late", 1), 5); return await 1; }
    async Counts() {
      let count = 0;
      await new Promise((ok) => { const timer = setInterval(() => { if (++count === 3) { clearInterval(timer); ok(); } }, 1); });
      return count;
    }
    async Throws() { setTimeout(() => { throw new RangeError("T"); }, 1); await new Promise((ok) => setTimeout(ok, 20)); }
    Never() { return new Promise(() => {}); }
    async NeverAfterTimer() { await new Promise((ok) => setTimeout(ok, 1)); await new Promise(() => {}); }
  }`);
  const more = { set: (key) => fired.push(key) };
  assert.equal((await invoked(waiting, "Sleeps", more)).result, 5);
  assert.equal((await invoked(waiting, "Counts", more)).result, 3);
  assert.equal((await invoked(waiting, "Leaves", more)).result, 1);
  await passed(30);
  assert.deepEqual(fired, []);
  assert.match((await invoked(waiting, "Throws", more)).result.val, /^RangeError: T$/);
  for (const method of ["Never", "NeverAfterTimer"]) {
    assert.match((await invoked(waiting, method, more)).result.val, /waits for a promise that nothing settles/);
  }
});

test("a function that names the keys of a migration may be async, and says how it failed", async () => {
  const migrating = (migrates) => exportsOfText("class { migrate(before) { return before; } }", { schema: "2", migrates });
  const keys = async ({ migration }) => (await called(() => migration.keys("1"))).result;
  assert.deepEqual(await keys(await migrating(["a"])), ["a"]);
  assert.deepEqual(await keys(await migrating(async (from) => [from])), ["1"]);
  const [told, ...others] = await keys(await migrating(async () => { throw new RangeError("T"); }));
  assert.match(told, /^daca:failed\nRangeError: T/);
  assert.deepEqual(others, []);
});

test("what comes of another realm, and 64 bits, are values of this one", () => {
  const found = own(runInNewContext("({ data: new Uint8Array([0, 1, 2]).subarray(1), schedule: { dueMs: 5n, ttlMs: undefined }, pairs: [['a', null]] })"));
  assert.ok(found.data instanceof Uint8Array);
  assert.deepEqual(found, { data: Uint8Array.of(1, 2), schedule: { dueMs: 5, ttlMs: undefined }, pairs: [["a", null]] });
});

test("a stack has the author's frames alone", () => {
  const table = { files: ["chat.ts"], lines: [[1, 0, 7], 0, [1, 0, 9, 20, 0, 10]] };
  const stack = [
    "Say@agent.js:2:5", "Say/<@agent.js:4:19", "@agent.js:4:20", "run@agent.js:3:1", "async*Later@agent.js:2:1",
    "invoke@initializer.js:2:1", "a@b.js/c@agent.js:2:1", "",
  ].join("\n");
  assert.equal(writtenFrames(stack, table), [
    "", "at Say (chat.ts:7)", "at Say (chat.ts:9)", "at chat.ts:10", "at Later (chat.ts:7)",
  ].join("\n    "));
});

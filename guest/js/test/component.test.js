// What the engine and the components of `daca-js build` share, with the promises of the engine.
import assert from "node:assert/strict";
import { test } from "node:test";
import { agent, Failed, state } from "@daca/sdk";
import { exportsOf, tryInstance } from "../src/component.js";
import { lineIn, placeIn, writeStacks } from "../src/frames.js";
import { SettledPromise, asyncRun } from "../src/globals/promise.js";
import { lineTable } from "../tools/frames.js";
import { inTurn } from "./turns.js";

/** Calls a method of a class as the host does. */
function invoked(Class, method) {
  const own = globalThis.Promise;
  const { actor } = exportsOf(() => agent(Class));
  return inTurn(() => {
    globalThis.Promise = SettledPromise;
    try {
      return new TextDecoder().decode(actor.invoke(method, new Uint8Array()));
    } catch ({ tag, val }) {
      return { tag, val };
    } finally {
      globalThis.Promise = own;
    }
  });
}

class Forgetful {
  later() {
    return asyncRun(this, [], function* () { throw new RangeError("T"); });
  }
  Save() {
    this.later();
    return "ok";
  }
  Each() {
    [1, 2].forEach(() => this.later());
  }
  Chained() {
    this.later().then(() => 1).finally(() => {});
  }
  Never() {
    return new SettledPromise(() => this.later());
  }
  Heard() {
    const open = this.later();
    return SettledPromise.all([open, this.later()]).then(undefined, ({ message }) => message);
  }
  Any() {
    return SettledPromise.any([this.later(), SettledPromise.race([this.later()]).catch(() => 2)]);
  }
  Fails() {
    this.later();
    throw new Failed("first");
  }
}

test("a promise that is rejected without a reaction fails the turn, with its reason", () => {
  for (const method of ["Save", "Each", "Chained", "Never"]) {
    const { result, lines } = invoked(Forgetful, method);
    assert.equal(result.tag, "failed", method);
    assert.match(result.val, /nothing waits for it.*RangeError: T$/);
    assert.match(lines[0].message, /caused by RangeError: T\n +at .*component\.test\.js/);
  }
  assert.equal(invoked(Forgetful, "Heard").result, '"T"');
  assert.equal(invoked(Forgetful, "Any").result, "2");
  assert.equal(invoked(Forgetful, "Fails").result.val, "first");
  assert.equal(invoked(Forgetful, "Heard").result, '"T"', "what a turn has left is not the next one's");
});

test("the caller reads what is wrong, and the log where", () => {
  const { result, lines } = invoked(class { Say() { return undefined.x; } }, "Say");
  assert.match(result.val, /^TypeError: [^\n]*$/);
  assert.match(lines[0].message, /^TypeError: .*\n +at .*component\.test\.js/);
});

test("an async function of `eval` is refused, since it would never settle", () => {
  const { result } = invoked(class { Call() { return SettledPromise.resolve((0, eval)("(async () => 5)()")); } }, "Call");
  assert.match(result.val, /^TypeError: .*`eval`/);
});

test("a class that cannot be made is refused, unless the host has refused it something", () => {
  const tried = (Class) => inTurn(() => {
    try {
      return tryInstance(agent(Class)) ?? "served";
    } catch (e) {
      return e.message;
    }
  }).result;
  assert.equal(tried(class { n = undefined.x; }), "Cannot read properties of undefined (reading 'x')");
  assert.equal(tried(class { constructor() { throw new Error("ctor"); } }), "ctor");
  assert.match(tried(class { n = void SettledPromise.reject("R"); }), /nothing waits for it.*"R"$/);
  assert.equal(tried(class { n = 1; }), "served");
  const refusing = { get() { throw { tag: "unavailable", val: "not here" }; } };
  assert.equal(inTurn(() => tryInstance(agent(class { n = state.get("n"); })), refusing).result, undefined);
});

test("a place is found by its line and its column", () => {
  const script = { lines: [1, 0, 7], further: [1, 10, 2, 1, 20, 3, 3, 5, 8] };
  const found = [[1, 1], [1, 10], [1, 19], [1, 99], [2, 9], [3, 4], [3, 6], [4, 1]].map(([line, column]) => lineIn(script, line, column));
  assert.deepEqual(found, [1, 2, 2, 3, 0, 7, 8, 0]);
  assert.equal(lineIn({ lines: [4], further: [] }, 1, 5), 4);
  // `x` of `é + x` is in the author's second line. Columns of the map are letters, and those of the engine bytes.
  const map = JSON.stringify({ sources: ["agent.ts", "sdk/index.js"], mappings: "AAAA,KACA;ACAA" });
  const table = lineTable("é + x\nsdk", map, "/a", "/a/sdk");
  assert.deepEqual([[1, 1], [1, 6], [1, 7], [2, 1]].map(([line, column]) => placeIn(table, line, column)), ["agent.ts:1", "agent.ts:1", "agent.ts:2", undefined]);
});

test("a stack has the author's frames alone, and never fails", () => {
  const { prepareStackTrace, stackTraceLimit } = Error;
  try {
    writeStacks((file, line) => (file?.includes("component.test.js") ? `agent.ts:${line}` : undefined));
    const { stack } = new Error("T");
    assert.match(stack, /^Error: T\n    at .*agent\.ts:\d+\)?$/);
    assert.doesNotMatch(stack, /node:/);
    assert.equal(typeof Object.assign(Object.create(Error.prototype), { message: { toString: null } }).stack, "undefined");
    writeStacks(() => { throw new Error("again"); });
    assert.equal(new Error("T").stack, "Error: T");
  } finally {
    Object.assign(Error, { prepareStackTrace, stackTraceLimit });
  }
});

// The host in memory keeps the rules of the real one.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  actors, agent, bindings, config, Failed, HostError, Invalid, log, NotFound, publish, reminders, secrets, state, timers,
} from "@daca/sdk";
import { TestHost } from "@daca/sdk/testing";
import { failureOf } from "../src/agent.js";
import { exportsOf } from "../src/component.js";
import { inspect } from "../src/inspect.js";
import { fromBytes, toBytes } from "../src/json.js";
import { counter } from "./agents.js";
import { inTurn } from "./turns.js";

test("a turn commits its state, its events and its log", async () => {
  const host = new TestHost(counter, { type: "Counter" });
  assert.equal(await host.actor("a").call("Add", 2), 2);
  assert.equal(await host.actor("a").call("Add"), 3);
  assert.deepEqual([...host.actor("a").state], [["count", 3]]);
  assert.deepEqual(host.events.map(({ topic, data }) => [topic, data.count]), [["pubsub/counted", 2], ["pubsub/counted", 3]]);
  assert.deepEqual(host.logged.map(({ message }) => message), ["activated a", "told", "told"]);
});

test("a turn that throws leaves nothing", async () => {
  const host = new TestHost(counter);
  await host.actor("a").call("Add", 2);
  await assert.rejects(host.actor("a").call("Add", 100), Invalid);
  // The caller reads what is wrong, and the log where.
  await assert.rejects(host.actor("a").call("Broken"), (e) => e instanceof Failed && /^TypeError: .*'x'\)$/.test(e.message));
  assert.match(host.logged.at(-1).message, /^TypeError: .*\n +at Counter\.Broken \(.*agents\.js/);
  assert.equal(host.actor("a").state.get("count"), 2);
  assert.equal(host.events.length, 1);
});

test("what is no method is not found", async () => {
  const host = new TestHost(counter);
  for (const name of ["Nope", "constructor", "_own", "activate", "toString", "__proto__"]) {
    await assert.rejects(host.actor("a").call(name), NotFound);
  }
});

test("half of a surrogate pair is no payload, and is replaced in what the host is told", async () => {
  class Cut {
    Say(text) {
      log.info(text.slice(0, 2));
    }
  }
  const host = new TestHost(agent(Cut));
  await host.actor("a").call("Say", "a😀");
  assert.deepEqual(host.logged.map(({ message }) => message), ["a\ufffd"]);
  for (const payload of ["\ud83d", [{ "\udc00": 1 }]]) await assert.rejects(host.actor("a").call("Say", payload), Invalid);
  await host.actor("a").call("Say", "\\ud83d");
});

test("what could not be read again is not written", async () => {
  const nested = (depth, inner) => (depth === 0 ? inner : nested(depth - 2, [{ a: inner }]));
  // Brackets in texts are no levels, and neither are those that have ended.
  const deepest = [nested(124, ["[".repeat(200), '\\"[{'.repeat(100), "\\", {}, ...Array(200).fill([])])];
  assert.deepEqual(fromBytes(toBytes(deepest)), deepest);
  for (const deep of [[deepest], nested(128, null), nested(1000, 0)]) {
    assert.throws(() => toBytes(deep), /^RangeError: the value cannot be written as JSON: .* more than 127 levels deep$/);
    const text = new TextEncoder().encode(JSON.stringify(deep));
    assert.throws(() => fromBytes(text), /^SyntaxError: .* more than 127 levels deep$/);
  }
  class Deep {
    Keep() {
      state.set("k", nested(128, null));
    }
  }
  const host = new TestHost(agent(Deep));
  await assert.rejects(host.actor("a").call("Keep"), Failed);
  assert.equal(host.actor("a").state.size, 0);
});

test("registrations, keys and times that the host refuses are refused", async () => {
  const codeOf = (call) => {
    const host = new TestHost(agent(class { Call() { call(); } onReminder() {} onTimer() {} }));
    return host.actor("a").call("Call").then(() => "taken", ({ cause }) => (cause instanceof HostError ? cause.code : cause));
  };
  const long = "é".repeat(256);
  for (const [call, code] of [
    [() => reminders.register("a", { due: 10, ttl: 10 }), "taken"],
    [() => reminders.register("a", { due: 11, ttl: 10 }), "invalid"],
    [() => timers.register("a", { period: 0 }), "invalid"],
    [() => timers.register("a", { period: 9 }), "invalid"],
    [() => timers.register("", {}), "invalid"],
    [() => reminders.register("daca:a", {}), "invalid"],
    [() => reminders.get(""), "invalid"],
    [() => reminders.unregister("a\nb"), "invalid"],
    [() => state.get(""), "invalid"],
    [() => state.get("daca:a"), "invalid"],
    [() => state.getMany(["a", "a||b"]), "invalid"],
    [() => state.set("a\u0085", 1), "invalid"],
    [() => state.delete("a\u0000"), "invalid"],
    [() => state.set("a", 1, { ttl: 0 }), "invalid"],
    [() => state.set("a", 1, { ttl: 1 }), "taken"],
    [() => state.set(long, 1), "taken"],
    [() => state.set(`${long}a`, 1), "too-large"],
  ]) assert.equal(await codeOf(call), code, String(call));
  // Without the hook it could never fire.
  class Deaf {
    Remind() {
      reminders.register("a", { due: 1 });
    }
    Time() {
      timers.register("a", { due: 1 });
    }
  }
  const deaf = new TestHost(agent(Deaf)).actor("a");
  for (const method of ["Remind", "Time"]) {
    await assert.rejects(deaf.call(method), ({ cause }) => cause instanceof HostError && cause.code === "invalid");
  }
});

test("the failure of another actor is an error with its code, and not the agent's own", async () => {
  const failures = { Invalid: () => { throw new Invalid("I"); }, NotFound: () => { throw new NotFound("N"); }, Failed: () => { throw new Failed("F"); } };
  class Caller {
    Call(type) {
      try {
        return actors.invoke(type, "b", "M");
      } catch (e) {
        return e instanceof HostError ? [e.code, e.message] : ["no HostError", String(e)];
      }
    }
  }
  const caller = new TestHost(agent(Caller), { actors: failures }).actor("a");
  assert.deepEqual(await caller.call("Call", "Invalid"), ["invalid", "I"]);
  assert.deepEqual(await caller.call("Call", "NotFound"), ["not-found", "N"]);
  assert.deepEqual(await caller.call("Call", "Failed"), ["other", "F"]);
});

test("what answers for the rest of the world is no promise", async () => {
  const late = async () => { throw new Error("late"); };
  const host = new TestHost(counter, { bindings: { weather: late }, actors: { Stock: async () => 5 } });
  for (const [method, what] of [["Temperature", "the binding weather"], ["Stock", "the agent type Stock"]]) {
    await assert.rejects(host.actor("a").call(method, "x"), (e) => e.cause instanceof TypeError && e.message.includes(`${what} in this TestHost returns a promise`));
  }
});

test("the state of another schema is migrated as a turn", async () => {
  class Counted {
    calls = 0;
    activate() {
      state.set("activations", state.get("activations", 0) + 1);
    }
    Calls() {
      return ++this.calls;
    }
    Expire() {
      state.set("short", 1, { ttl: 60 });
    }
    migrate(before, from) {
      if (from === "broken") throw new RangeError("no way");
      return new Map([["sum", (before.get("count") ?? 0) + 1], ["short", before.get("short") + 1]]);
    }
  }
  const host = new TestHost(agent(Counted, { schema: "2", migrates: (from) => (from === "none" ? [] : ["count", "short", "absent"]) }), { now: 0 });
  const actor = host.actor("a");
  await actor.call("Expire");
  actor.setState("count", 4);
  actor.setState("other", 1);
  await actor.migrate("none");
  await assert.rejects(actor.migrate("broken"), (e) => e instanceof Failed && /no way/.test(e.message));
  assert.equal(actor.state.get("count"), 4);
  assert.equal(await actor.call("Calls"), 1);
  await actor.migrate("1");
  assert.deepEqual(Object.fromEntries(actor.state), { activations: 2, other: 1, short: 2, sum: 5 });
  assert.equal(await actor.call("Calls"), 1, "it is another instance");
  await host.advance(60_000);
  assert.equal(actor.state.has("short"), false, "what had a time to live keeps it");
  await assert.rejects(new TestHost(counter).actor("a").migrate("1"), /no migrate/);
});

test("bindings, actors, settings and secrets answer as the test says, and the rest is denied", async () => {
  const host = new TestHost(counter, {
    bindings: { weather: (operation, city) => ({ celsius: new TextDecoder().decode(city).length }) },
    actors: { Stock: (id, method) => `${id}/${method}` },
    config: { from: "+1" },
    secrets: { token: "s" },
  });
  const actor = host.actor("a");
  assert.equal(await actor.call("Temperature", "Oslo"), 4);
  assert.equal(await actor.call("Stock", "nail"), "nail/Count");
  assert.deepEqual(await actor.call("Text", 7), ["+1", "s"]);
  assert.deepEqual(host.sent.map(({ data, metadata }) => [data, metadata]), [["hello", { to: "7" }]]);
  await assert.rejects(actor.call("Denied"), /denied/);
});

test("calls of one actor run one after the other", async () => {
  const host = new TestHost(counter);
  const counts = await Promise.all([1, 1, 1].map((by) => host.actor("a").call("Add", by)));
  assert.deepEqual(counts, [1, 2, 3]);
});

test("a class with migrate names its schema", () => {
  class Old { migrate(state) { return state; } }
  assert.throws(() => agent(Old), /schema/);
  assert.equal(agent(Old, { schema: "2", migrates: ["a"] }).schema, "2");
});

test("wrong values are refused with what is wrong, and not by the engine", async () => {
  for (const [call, message] of [
    [() => state.get(5), /the key must be a string, and is 5/],
    [() => state.set({}, 1), /the key must be a string, and is an object/],
    [() => state.set("a", 1, { ttl: 0.5 }), /ttl, in seconds, must be a whole number from 0 to 4294967295, and is 0.5/],
    [() => state.set("a", 1, { ttl: 2 ** 32 }), /ttl/],
    [() => state.set("a", 1, 60), /the third value/],
    [() => state.set("a", 1, { tll: 60 }), /the third value of set\(\) must not have the key "tll": its keys are ttl/],
    [() => reminders.register("a", { du: 1 }), /the schedule must not have the key "du": its keys are due, period, ttl/],
    [() => timers.register("a", { due: 1, Period: 1 }), /the schedule must not have the key "Period"/],
    [() => timers.register("a", new Date(5)), /the schedule must be an object, and is of the kind Date/],
    [() => timers.register("a", [5]), /the schedule must be an object, and is an array/],
    [() => reminders.register("a", Promise.resolve({ due: 1 })), /of the kind Promise/],
    [() => bindings.send("sms", "create", "x", new Map([["to", 1]])), /the metadata must be an object, and is of the kind Map/],
    [() => bindings.invoke("sms", "create", "x", ["to"]), /the metadata must be an object, and is an array/],
    [() => state.delete(undefined), /the key/],
    [() => state.getMany(["a", 1]), /the key/],
    [() => state.getMany("ab"), /an array/],
    [() => reminders.register(Symbol("x"), {}), /the name must be a string, and is symbol/],
    [() => reminders.register("a", { due: -1 }), /due, in milliseconds, must be a whole number from 0/],
    [() => timers.register("a", { period: Infinity }), /period/],
    [() => timers.register("a", { ttl: "5" }), /ttl.* is a string/],
    [() => timers.unregister(1), /the name/],
    [() => publish(["a/b"], 1), /the topic/],
    [() => bindings.send("sms", 1), /the operation/],
    [() => bindings.invoke("sms", "a", 1, { to: {} }), /the metadata's value to/],
    [() => actors.invoke("A", 1, "M"), /the actor's id/],
    [() => config.get(1), /the key/],
    [() => secrets.get(null), /the name of the secret must be a string, and is null/],
  ]) {
    const host = new TestHost(agent(class { Call() { return call(); } }));
    await assert.rejects(host.actor("a").call("Call"), (e) => e instanceof Failed && /^TypeError/.test(e.message) && message.test(e.message), String(call));
  }
  for (const schema of ["", "x".repeat(65), 1]) {
    assert.throws(() => agent(class { migrate() {} }, { schema }), /TypeError: schema must/);
  }
});

test("a key that no option has is refused with those that it has", () => {
  class Plain {}
  for (const [call, message] of [
    [() => agent(Plain, { schem: "2" }), /the second value of agent\(\) must not have the key "schem": its keys are schema, migrates/],
    [() => agent(Plain, "2"), /the second value of agent\(\) must be an object, and is a string/],
    [() => new TestHost(agent(Plain), { binding: {} }), /TestHost must not have the key "binding": its keys are type, now, .*bindings/],
  ]) assert.throws(call, (e) => e instanceof TypeError && message.test(e.message), String(call));
});

test("whatever an agent throws is a failure of the contract", () => {
  const throws = { get() { throw new Error("again"); } };
  const cyclic = new Failed("x");
  cyclic.tag = cyclic;
  for (const thrown of [
    Object.create(null), undefined, null, Symbol("x"), cyclic,
    Object.defineProperty(new Error("x"), "message", throws),
    Object.defineProperty(new Invalid("x"), "tag", throws),
    Object.assign(new Error("x"), { stack: 5 }),
    Object.assign(new Invalid("x"), { message: { toString: null } }),
    new Proxy({}, { getPrototypeOf() { throw 1; } }),
    new Failed("😀".repeat(100_000)),
  ]) {
    const { tag, val } = failureOf(thrown);
    assert.ok(["invalid", "not-found", "failed"].includes(tag));
    assert.ok(typeof val === "string" && val.length <= 64 * 1024 && !/\n$/.test(val) && val.isWellFormed());
  }
  assert.equal(failureOf(new Invalid("no")).tag, "invalid");
  assert.equal(inspect(Object.create(null)), "{}");
  assert.equal(typeof inspect(new Proxy({}, { getPrototypeOf() { throw 1; } })), "string");
});

test("a promise that is rejected without a reaction fails the turn, and so does one that is waited for in vain", async () => {
  class Forgetful {
    async later() {
      await undefined;
      state.set("half", 1);
      throw new RangeError("T");
    }
    async Save() {
      this.later();
      return "ok";
    }
    async Each() {
      [1, 2].forEach(async () => { throw new RangeError("T"); });
    }
    Bare() {
      Promise.reject(new RangeError("T"));
    }
    async Waits() {
      await new Promise(() => {});
    }
    async Heard() {
      const open = this.later();
      try {
        await open;
      } catch {
        return state.get("half");
      }
    }
  }
  const host = new TestHost(agent(Forgetful));
  const listeners = process.rawListeners("unhandledRejection");
  await assert.rejects(host.actor("a").call("Waits"), (e) => e instanceof Failed && /nothing settles/.test(e.message));
  for (const method of ["Save", "Each", "Bare"]) {
    await assert.rejects(host.actor("a").call(method), (e) => e instanceof Failed && /nothing waits for it.*RangeError: T$/.test(e.message));
    assert.match(host.logged.at(-1).message, /caused by RangeError: T\n +at .*testing\.test\.js/);
    assert.equal(host.actor("a").state.size, 0);
  }
  assert.equal(await host.actor("a").call("Heard"), 1);
  // Each turn has its own, and those of a test stay the test's.
  const both = await Promise.allSettled([host.actor("b").call("Save"), host.actor("c").call("Heard")]);
  assert.deepEqual(both.map(({ status }) => status), ["rejected", "fulfilled"]);
  assert.deepEqual(process.rawListeners("unhandledRejection"), listeners);
});

test("the clock of a turn is that of its host, and that of a test its own", async () => {
  class Clock {
    async Now() {
      await 1;
      class Own extends Date {}
      const isOwn = new Date() instanceof Date && new Own() instanceof Own;
      return [Date.now(), new Date().getTime(), new Own().getTime(), Date.parse(Date()), new Date(7).getTime(), isOwn];
    }
  }
  const clocks = [0, 5000].map((now) => new TestHost(agent(Clock), { now }));
  const own = [Date, Date.now];
  const seen = await Promise.all(clocks.map((host) => host.actor("a").call("Now")));
  assert.deepEqual(seen, [0, 5000].map((now) => [now, now, now, now, 7, true]));
  assert.deepEqual([Date, Date.now], own);
});

test("a line of the log has all of a value", () => {
  const error = new TypeError("outer", { cause: new Error("inner") });
  assert.match(inspect(error), /^TypeError: outer\n +at .*\ncaused by Error: inner\n +at /s);
  assert.match(inspect(new AggregateError([new Error("one")], "all")), /^AggregateError: all\n.*one of its errors: Error: one\n/s);
  assert.match(inspect({ e: new Error("T") }), /^\{"e":Error: T\n +at .*\}$/s);
  const circle = { a: [1, "b", null, undefined] };
  circle.again = circle;
  for (const [value, shown] of [
    ["text", "text"], [circle, '{"a":[1,"b",null,undefined],"again":[Circular]}'],
    [new Map([["a", new Set([1n])]]), 'Map {"a" => Set {1n}}'], [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    [Uint8Array.of(1, 2), "Uint8Array [1,2]"], [[Promise.resolve(), Symbol("s"), /x/g], "[[object Promise],Symbol(s),/x/g]"],
  ]) assert.equal(inspect(value), shown);
});

test("what is thrown and no error is shown, and memory is named only where it may be the cause", () => {
  const start = "the agent threw a value that is no Error, and so has no stack: ";
  for (const [thrown, shown] of [[{ a: 1 }, '{"a":1}'], ["a text", '"a text"'], [undefined, "undefined"], [5, "5"]]) {
    assert.equal(failureOf(thrown).val, start + shown);
  }
  for (const thrown of [null, "out of memory"]) {
    assert.ok(failureOf(thrown).val.startsWith(start + JSON.stringify(thrown)));
    assert.match(failureOf(thrown).val, /The engine throws the same when its memory is exhausted/);
  }
});

test("a payload that the engine cannot read is the caller's fault only if it is not JSON", (t) => {
  const { actor } = exportsOf(() => counter);
  const answer = (bytes) => inTurn(() => {
    try {
      return actor.invoke("Add", bytes);
    } catch ({ tag, val }) {
      return { tag, val };
    }
  }).result;
  for (const bytes of [[0x7b], [0x22, 0xff, 0x22]]) {
    const { tag, val } = answer(Uint8Array.from(bytes));
    assert.deepEqual([tag, val.slice(0, 24)], ["invalid", "the payload is not JSON:"]);
  }
  for (const thrown of [new Error("out of memory"), new RangeError("Maximum call stack"), null, "out of memory"]) {
    const parse = t.mock.method(JSON, "parse", () => { throw thrown; });
    const { tag, val } = answer(Uint8Array.of(0x31));
    parse.mock.restore();
    assert.equal(tag, "failed", val);
  }
});

test("a failure on purpose has its message for the caller, and its cause for the log", async () => {
  const host = new TestHost(agent(class { Say() { throw new Invalid("no", { cause: new Error("why") }); } }));
  await assert.rejects(host.actor("a").call("Say"), (e) => e instanceof Invalid && e.message === "no");
  assert.match(host.logged.at(-1).message, /^Invalid: no\n.*caused by Error: why\n +at /s);
});

test("a method may return any thenable", async () => {
  const host = new TestHost(agent(class { Call() { return { then(ok) { ok(5); } }; } }));
  assert.equal(await host.actor("a").call("Call"), 5);
});

test("a method gets the bytes of the payload as they came", async () => {
  class Exact {
    Text(_value, bytes) {
      return new TextDecoder().decode(bytes);
    }
    Count(...values) {
      return values.length;
    }
  }
  const actor = new TestHost(agent(Exact)).actor("a");
  const text = '{"order": 123456789012345678901234567890, "price": 1.0}';
  assert.equal(await actor.call("Text", new TextEncoder().encode(text)), text);
  assert.equal(await actor.call("Count"), 0);
});

test("a migration that cannot name its label or its keys says why", () => {
  class Kept {
    Call() {}
    migrate(state) {
      return state;
    }
  }
  const migrates = (from) => {
    if (from === "0") throw new Error("no keys of 0");
    return { 1: ["a"], 2: [5] }[from];
  };
  const kept = agent(Kept, { schema: "2", migrates });
  const { migration } = exportsOf(() => kept);
  assert.equal(migration.label(), "2");
  assert.deepEqual(migration.keys("1"), ["a"]);
  for (const [from, reason] of [["0", /^daca:failed\nError: no keys of 0$/], ["2", /must be a string/], ["4", /must return an array/]]) {
    const { result: [failed, ...more], lines } = inTurn(() => migration.keys(from));
    assert.match(failed, reason);
    assert.deepEqual(more, []);
    assert.match(lines[0].message, /^(Type)?Error: .*\n +at /);
  }
  const broken = exportsOf(() => { throw new Error("no agent"); });
  assert.match(broken.migration.label(), /^daca:failed\nError: no agent\n.*testing\.test\.js/s);
});

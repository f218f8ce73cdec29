// The host in memory keeps the rules of the real one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { agent, Failed, Invalid, log, NotFound } from "@daca/sdk";
import { TestHost } from "@daca/sdk/testing";
import { counter } from "./agents.js";

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
  await assert.rejects(host.actor("a").call("Broken"), (e) => e instanceof Failed && e.message.includes("agents.js"));
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

test("the clock fires reminders and timers, and a deactivation ends timers", async () => {
  const host = new TestHost(counter, { now: 0 });
  await host.actor("a").call("Remind");
  await host.advance(6000);
  assert.equal(host.actor("a").state.get("fired-daily"), 2);
  assert.equal(host.actor("a").state.get("fired-soon"), 500);
  await host.actor("a").call("Remind");
  await host.actor("a").deactivate();
  assert.deepEqual(host.actor("a").timers, []);
  assert.deepEqual(host.actor("a").reminders, ["daily"]);
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

// Reminders and timers of the host in memory fire by the rules of the real one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { agent, Failed, reminders, state, timers } from "@daca/sdk";
import { TestHost } from "@daca/sdk/testing";
import { counter } from "./agents.js";

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

/** Keeps when which of its wake-ups has fired. One whose data names a key of the state fails without it. */
class Waker {
  Register(wakes) {
    for (const [door, name, when, needs] of wakes) ({ reminders, timers })[door].register(name, when, needs ?? null);
  }
  Set(key) {
    state.set(key, true);
  }
  Known(name) {
    return reminders.get(name) ?? null;
  }
  onReminder(name, needs) {
    if (needs && !state.get(needs)) throw new Failed(`${name} waits for ${needs}`);
    state.set("fired", [...state.get("fired", []), [name, Date.now()]]);
    if (name === "again") reminders.register(name, { due: 0, ttl: 5000 });
    if (name === "ends") reminders.unregister(name);
    state.set("seen", reminders.get("once")?.due ?? null);
  }
  onTimer(name, needs) {
    this.onReminder(name, needs);
  }
}

/** An actor of `Waker` at the time 0, with these wake-ups. */
async function waking(...wakes) {
  const host = new TestHost(agent(Waker), { now: 0 });
  const actor = host.actor("a");
  await actor.call("Register", wakes);
  return { host, actor, fired: () => actor.state.get("fired") ?? [] };
}

test("a reminder whose turn fails fires again, and holds up neither the clock nor the others", async () => {
  const { host, actor, fired } = await waking(["reminders", "once", { due: 1000 }, "ready"], ["reminders", "other", { due: 2000 }]);
  await assert.rejects(host.advance(3000), (e) => e instanceof Failed && e.message === "once waits for ready");
  assert.equal(host.now, 3000);
  assert.deepEqual(fired(), [["other", 2000]]);
  assert.deepEqual(actor.reminders, ["once"], "it is still there");
  await actor.call("Set", "ready");
  await host.advance(10_000);
  // After 1.0, 1.5 and 2.5 seconds it has failed.
  assert.deepEqual(fired(), [["other", 2000], ["once", 4500]]);
  assert.deepEqual(actor.reminders, []);
});

test("a reminder without a period fires until its turn succeeds, and one with a period waits for its next time", async () => {
  const failures = ({ logged }, name) => logged.filter(({ message }) => message.includes(`${name} fails`)).length;
  class Failing {
    Begin() {
      reminders.register("once", { due: 0 });
      reminders.register("hourly", { due: 0, period: 3_600_000 });
      timers.register("timer", { due: 0 });
    }
    onReminder(name) {
      throw new RangeError(`${name} fails`);
    }
    onTimer(name) {
      this.onReminder(name);
    }
  }
  const host = new TestHost(agent(Failing));
  await host.actor("a").call("Begin");
  await assert.rejects(host.advance(3_599_999), Failed);
  assert.equal(failures(host, "hourly"), 8);
  assert.equal(failures(host, "timer"), 1, "a timer has one try");
  assert.ok(failures(host, "once") > 50, "a minute apart at most");
  await assert.rejects(host.advance(1), Failed);
  assert.equal(failures(host, "hourly"), 9);
  assert.deepEqual([host.actor("a").reminders, host.actor("a").timers], [["once", "hourly"], []]);
});

test("a registration ends after its time to live, and not before", async () => {
  const { host, actor, fired } = await waking(["reminders", "thrice", { due: 1000, period: 1000, ttl: 3000 }], ["timers", "last", { due: 500, ttl: 500 }]);
  await host.advance(10_000);
  assert.deepEqual(fired(), [["last", 500], ["thrice", 1000], ["thrice", 2000], ["thrice", 3000]]);
  assert.deepEqual([actor.reminders, actor.timers], [[], []]);
});

test("a turn sees the registration that it handles, and may change it", async () => {
  const { host, actor, fired } = await waking(["reminders", "once", { due: 1000 }], ["reminders", "ends", { due: 2000, period: 1000 }]);
  await host.advance(1000);
  assert.equal(actor.state.get("seen"), 1000);
  assert.equal(await actor.call("Known", "once"), null);
  await host.advance(5000);
  assert.deepEqual(fired().slice(1), [["ends", 2000]]);
  // What registers itself again is due a moment later: otherwise the clock would never move on.
  await actor.call("Register", [["reminders", "again", { due: 0 }]]);
  await host.advance(100);
  assert.equal(fired().length, 2 + 11);
});

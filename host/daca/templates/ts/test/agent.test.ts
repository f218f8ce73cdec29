// Tests of the agent, with a host in memory: npm test
import assert from "node:assert/strict";
import { test } from "node:test";
import { Invalid } from "@daca/sdk";
import { TestHost } from "@daca/sdk/testing";
import definition from "../agent.ts";

const DAY = 24 * 60 * 60 * 1000;

test("a message is answered, kept and published", async () => {
  const host = new TestHost(definition, { type: "AgentName" });
  const user = host.actor("user1");
  const answer = await user.call("Say", { content: "Hi" });
  assert.deepEqual(answer, { role: "assistant", content: "Got your message: Hi" });
  assert.deepEqual(await user.call("History"), [{ role: "user", content: "Hi" }, answer]);
  assert.deepEqual(host.events.map(({ topic, data }) => [topic, data.id]), [["pubsub/chat", "user1"]]);
});

test("a message without content is refused, and leaves nothing", async () => {
  const host = new TestHost(definition);
  await assert.rejects(host.actor("user1").call("Say", { content: 1 }), Invalid);
  assert.deepEqual([host.events, [...host.actor("user1").state]], [[], []]);
});

test("a conversation is forgotten a day after the last message", async () => {
  const host = new TestHost(definition);
  const user = host.actor("user1");
  await user.call("Say", { content: "Hi" });
  await host.advance(DAY - 1);
  await user.call("Say", { content: "Still here" });
  await host.advance(DAY - 1);
  assert.equal((await user.call("History")).length, 4);
  await host.advance(1);
  assert.deepEqual(await user.call("History"), []);
});

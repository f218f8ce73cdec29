// How authors use the declarations: the type checker reads it, and nothing runs it.
import { agent, reminders, state, type EffectFailure, type FailedEffect } from "@daca/sdk";
import { TestHost } from "@daca/sdk/testing";

class Shop {
  /** A default says of which kind a value is, and not which value it is. */
  Kinds(): unknown[] {
    const count = state.get("count", 0);
    const owner = state.get("owner", "nobody");
    const isOpen = state.get("open", false);
    const orders = state.get("orders", []);
    orders.push(count);
    const names: string[] = state.get("names", []);
    const total: number = state.get<number>("total", 0);
    const all: unknown[] = state.get<unknown[]>("all", []);
    const { item }: { item: string } = state.get("order", { item: "", price: 1 });
    const absent: string | undefined = state.get<string>("absent");
    return [count === 5, owner === "x", isOpen === true, orders, names, total, all, item, absent];
  }
  Delay(ms: number) {
    const { data, ...rest } = reminders.get("r") ?? { data: null };
    reminders.register("r", { ...rest, due: ms }, data);
    // @ts-expect-error: there is no such key
    reminders.register("r", { du: ms });
    const registration = reminders.get("r");
    // @ts-expect-error: the data are a value of their own
    if (registration) reminders.register("r", registration);
  }
  onEffectFailed(effect: FailedEffect, reason: EffectFailure) {
    // @ts-expect-error: there is no such code
    if (reason.code === "gone") return;
    if (reason.code === "unavailable" && effect.kind === "publish") state.set("lost", effect.topic);
  }
  migrate(before: Map<string, unknown>) {
    return before;
  }
}

export async function tries() {
  const host = new TestHost(agent(Shop, { schema: "2", migrates: ["count"] }), { now: new Date(0) });
  const actor = host.actor("a");
  const effect: FailedEffect = { id: "1", attempts: 3, kind: "publish", topic: "p/t", event: new Uint8Array() };
  await actor.effectFailed(effect, { code: "unavailable", message: "" });
  // @ts-expect-error: there is no such code
  await actor.effectFailed(effect, { code: "gone", message: "" });
  // @ts-expect-error: it is no effect
  await actor.effectFailed({ id: "1" }, { code: "denied", message: "" });
  await actor.migrate("1");
}

// Agents for the tests.
import { actorId, actors, agent, bindings, config, Failed, HostError, Invalid, log, publish, reminders, secrets, state, timers } from "@daca/sdk";

export class Counter {
  activations = 0;
  activate() {
    this.activations += 1;
    log.info("activated", actorId());
  }
  async Add(by = 1) {
    const count = (await state.get("count", 0)) + by;
    state.set("count", count);
    publish("pubsub/counted", { id: actorId(), count }).logOutcome("told", "not told");
    if (count > 100) throw new Invalid("too many");
    return count;
  }
  Remind() {
    reminders.register("daily", { due: 1000, period: 5000 }, { n: 1 });
    timers.register("soon", { due: 500 });
  }
  onReminder(name, data) {
    state.set(`fired-${name}`, state.get(`fired-${name}`, 0) + data.n);
  }
  onTimer(name) {
    state.set(`fired-${name}`, Date.now());
  }
  Broken() {
    state.set("count", -1);
    return undefined.x;
  }
  Temperature(city) {
    return bindings.invoke("weather", "get", city).json().celsius;
  }
  Text(number) {
    bindings.send("sms", "create", "hello", { to: number });
    return [config.get("from", "nobody"), secrets.get("token").token];
  }
  Stock(item) {
    return actors.invoke("Stock", item, "Count");
  }
  Denied() {
    try {
      bindings.invoke("other", "get");
    } catch (e) {
      if (e instanceof HostError) throw new Failed(e.code);
      throw e;
    }
  }
  _own() {}
}

export const counter = agent(Counter);

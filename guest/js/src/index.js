// What an author imports.
export { agent } from "./agent.js";
export { actorId, actors, agentType, turnId } from "./actors.js";
export { bindings, publish } from "./effects.js";
export { Failed, Failure, HostError, Invalid, NotFound } from "./failures.js";
export { config, log, secrets } from "./settings.js";
export { state } from "./state.js";
export { reminders, timers } from "./wakeups.js";

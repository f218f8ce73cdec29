// Calls to other actors, and who this actor is.
import * as others from "#host/actors";
import * as identity from "#host/identity";
import { string } from "./check.js";
import { ask } from "./failures.js";
import { fromBytes, toBytes } from "./json.js";

export const actors = {
  /** Calls a method of an actor and waits for its reply. The call takes effect at once, even if this turn fails. */
  invoke(type, id, method, payload) {
    const called = [string(type, "the agent type"), string(id, "the actor's id"), string(method, "the method")];
    const bytes = payload === undefined ? new Uint8Array() : toBytes(payload);
    return fromBytes(ask(() => others.invoke(...called, bytes)));
  },
};

/** The id of this actor within its type, such as `user1`. */
export const actorId = () => identity.actorId();
/** The agent type, such as `ChatAgent`. */
export const agentType = () => identity.agentType();
/** The id of the current turn: the field `turn` of the host's log lines. */
export const turnId = () => identity.turnId();

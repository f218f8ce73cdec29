// The turn that runs in a test: what the SDK's modules ask when there is no host but `TestHost`.
import { AsyncLocalStorage } from "node:async_hooks";

const running = new AsyncLocalStorage();

/** Runs `call` as a part of `turn`. */
export const within = (turn, call) => running.run(turn, call);

/** The running turn. The host's functions exist in a turn only. */
export function turn() {
  const found = running.getStore();
  if (!found) throw new Error("there is no turn here: call the agent by a TestHost (`@daca/sdk/testing`)");
  return found;
}

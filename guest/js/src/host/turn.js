// The turn that runs in a test: what the SDK's modules ask when there is no host but `TestHost`.
import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate } from "node:timers";

const running = new AsyncLocalStorage();
/** A rejection to which nothing reacts is told to whoever listens: while there are turns, to them. */
const EVENT = "unhandledRejection";
let turns = 0;
let others = [];
let OwnDate;
let ownNow;

/** Runs `call` as a part of `turn`. */
export async function within(turn, call) {
  if (turns++ === 0) begin();
  try {
    return await running.run(turn, call);
  } finally {
    // The call may have failed before its other functions ended.
    await passed();
    if (--turns === 0) end();
  }
}

/** Turns of several actors may run at once: what is everyone's is changed by the first, and given back by the last. */
function begin() {
  OwnDate = globalThis.Date;
  ownNow = OwnDate.now;
  OwnDate.now = now;
  // `new Date()` and `Date()` ask no function for the time.
  globalThis.Date = new Proxy(OwnDate, {
    construct: (target, values, made) => Reflect.construct(target, values.length === 0 ? [now()] : values, made),
    apply: () => new OwnDate(now()).toString(),
  });
  others = process.rawListeners(EVENT);
  process.removeAllListeners(EVENT);
  process.on(EVENT, hear);
}

function end() {
  OwnDate.now = ownNow;
  globalThis.Date = OwnDate;
  process.off(EVENT, hear);
  for (const other of others) process.on(EVENT, other);
}

const now = () => running.getStore()?.now ?? ownNow.call(OwnDate);

/** Until all has run that waits for nothing but promises. Gives the first rejection that nothing has reacted to. */
export async function settled(turn) {
  await passed();
  return turn.unheard[0];
}

const passed = () => new Promise((resolve) => setImmediate(resolve));

function hear(reason, promise) {
  const turn = running.getStore();
  if (turn) turn.unheard.push({ reason });
  // That of a test, and not of an agent.
  else if (others.length === 0) throw reason;
  else for (const other of others) other.call(process, reason, promise);
}

/** The turn that runs. The host's functions exist in a turn only. */
export function turn() {
  const found = running.getStore();
  if (!found) throw new Error("there is no turn here: call the agent by a TestHost (`@daca/sdk/testing`)");
  return found;
}

// `setTimeout` and `setInterval` within a turn. The engine leaves a timer that is open when a call returns to a later
// call, which would be another turn: here the end of a turn cancels it.

const { setTimeout: set, clearTimeout: clear } = globalThis;
/** The engine's timer of each of ours. */
const open = new Map();
let last = 0;
/** What a timer's function threw: the engine would end the instance for it. */
let fault;
let afterNext;

function start(call, delay, values, repeats) {
  if (typeof call !== "function") throw new TypeError("a timer takes a function");
  last += 1;
  const id = last;
  const arm = () => open.set(id, set(fire, delay));
  const fire = () => {
    open.delete(id);
    if (repeats) arm();
    try {
      call(...values);
    } catch (thrown) {
      fault ??= { thrown };
    }
    const told = afterNext;
    afterNext = undefined;
    told?.();
  };
  arm();
  return id;
}

function stop(id) {
  if (!open.has(id)) return;
  clear(open.get(id));
  open.delete(id);
}

export const timers = {
  setTimeout: (call, delay = 0, ...values) => start(call, delay, values, false),
  setInterval: (call, delay = 0, ...values) => start(call, delay, values, true),
  clearTimeout: stop,
  clearInterval: stop,
};

/** Runs `call` once everything has run that waits for nothing but promises. */
export function afterPromises(call) {
  set(call, 0);
}

/** Runs `call` after the next timer has fired. Returns `false` if none is open. */
export function afterTimer(call) {
  if (open.size === 0) return false;
  afterNext = call;
  return true;
}

/** What a timer's function threw, as `{ thrown }`. */
export const timerFault = () => fault;

/** Cancels all timers. */
export function endTimers() {
  for (const id of [...open.keys()]) stop(id);
  fault = undefined;
  afterNext = undefined;
}

// Promises of an engine with a loop of its own: it runs reactions later, and waits for what an export returns.
//
// It does not tell which promise was rejected without a reaction. So those that an agent makes are observed. They are
// the engine's own promises, since it waits for these at the least cost. Async functions become generators here, too: the
// promise of one that the engine runs could not be observed.

const Own = globalThis.Promise;
const { then: ownThen } = Own.prototype;
/** Whether anything has reacted to a promise: a property of those that are observed. */
const HEARD = Symbol("heard");
/** Rejected promises to which nothing has reacted, and why they were rejected. */
const unheard = new Map();
let isObserving = false;
let made = 0;
/** The number of the turn: a promise of an earlier one is none of this. */
let current = 0;

/** Takes note of a promise that is rejected without a reaction. */
function observed(promise) {
  // The reaction that observes makes a promise, too.
  if (isObserving || Object.hasOwn(promise, HEARD)) return promise;
  made += 1;
  promise[HEARD] = false;
  const turn = current;
  isObserving = true;
  try {
    ownThen.call(promise, undefined, (reason) => {
      if (!promise[HEARD] && turn === current) unheard.set(promise, reason);
    });
  } finally {
    isObserving = false;
  }
  return promise;
}

function hear(promise) {
  if (!Object.hasOwn(promise, HEARD)) return;
  promise[HEARD] = true;
  unheard.delete(promise);
}

/** What an agent has as `Promise`. */
export function ObservedPromise(executor) {
  if (!new.target) throw new TypeError("a promise is made by `new Promise`");
  return observed(Reflect.construct(Own, [executor], new.target === ObservedPromise ? Own : new.target));
}
Object.defineProperty(ObservedPromise, "name", { value: "Promise" });
Object.defineProperty(ObservedPromise, Symbol.species, { get() { return this; } });
ObservedPromise.prototype = Own.prototype;
for (const name of Object.getOwnPropertyNames(Own)) {
  const own = Own[name];
  if (typeof own !== "function") continue;
  const value = function (...values) {
    const result = own.apply(this === ObservedPromise ? Own : this, values);
    observed(name === "withResolvers" ? result.promise : result);
    return result;
  };
  Object.defineProperty(ObservedPromise, name, { value, writable: true, configurable: true });
}

/** Has promises observed that reactions make. */
export function observeReactions() {
  Own.prototype.then = function (onFulfilled, onRejected) {
    hear(this);
    return observed(ownThen.call(this, onFulfilled, onRejected));
  };
}

/** Runs the body of an async function, which is a generator that yields what it awaits. */
export function asyncRun(self, values, body) {
  return observed(new Own((resolve, reject) => {
    const steps = body.apply(self, values ?? []);
    const go = (kind, value) => {
      let step;
      try {
        step = steps[kind](value);
      } catch (thrown) {
        reject(thrown);
        return;
      }
      if (step.done) {
        resolve(step.value);
        return;
      }
      const promise = Own.resolve(step.value);
      hear(promise);
      ownThen.call(promise, next, fail);
    };
    const next = (value) => go("next", value);
    const fail = (reason) => go("throw", reason);
    next();
  }));
}

/** How many promises the agent has made in this instance. */
export const promisesMade = () => made;

/** Why the first promise was rejected that nothing reacted to, as `{ reason }`. It forgets them all. */
export function takeUnheard() {
  const [first] = [...unheard.values()].map((reason) => ({ reason }));
  unheard.clear();
  return first;
}

/** Forgets what a turn has left. */
export function endPromises() {
  current += 1;
  unheard.clear();
}

/** A result as it is: the exports of `component.js` wait for it. */
export const awaited = (value) => ({ isRejected: false, value });

/** A promise that is not observed. */
export const unobserved = (executor) => new Own(executor);

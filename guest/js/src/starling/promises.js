// Promises of an engine with a loop of its own: it runs reactions later, and waits for what an exported function returns.
//
// It does not tell which promise was rejected without a reaction. So those of an agent are observed: async functions
// become generators here, too, whose promises are made by the global class.

const Own = globalThis.Promise;
const ownThen = Own.prototype.then;
/** Rejected promises to which nothing has reacted, and why they were rejected. */
const unheard = new Map();
let isObserving = false;
let made = 0;

export class ObservedPromise extends Own {
  #isHeard = false;

  constructor(executor) {
    super(executor);
    // The reaction that observes makes a promise, too.
    if (isObserving) return;
    made += 1;
    isObserving = true;
    try {
      ownThen.call(this, undefined, (reason) => {
        if (!this.#isHeard) unheard.set(this, reason);
      });
    } finally {
      isObserving = false;
    }
  }

  then(onFulfilled, onRejected) {
    if (#isHeard in this) {
      this.#isHeard = true;
      unheard.delete(this);
    }
    return super.then(onFulfilled, onRejected);
  }

  /** Those of the engine's own functions, such as `crypto.subtle`, are promises as well. */
  static [Symbol.hasInstance](value) {
    return Object.prototype.isPrototypeOf.call(Own.prototype, value);
  }
}
Object.defineProperty(ObservedPromise, "name", { value: "Promise" });

/** How many promises the agent has made in this instance. */
export const promisesMade = () => made;

/** Why the first promise was rejected that nothing reacted to, as `{ reason }`. It forgets them all. */
export function takeUnheard() {
  const [first] = [...unheard.values()].map((reason) => ({ reason }));
  unheard.clear();
  return first;
}

/** A result as it is: the exports of `component.js` wait for it. */
export const awaited = (value) => ({ isRejected: false, value });

/** A promise that is not observed. */
export const unobserved = (executor) => new Own(executor);

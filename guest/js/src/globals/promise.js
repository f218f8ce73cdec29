// Promises that settle at once.
//
// A component's call into the host waits by itself, and there are no timers: when a method returns, every promise that
// will ever settle has settled. The engine has no loop that would run reactions later, so these run them immediately.
// Async functions become calls of `asyncRun`: the host makes them so in scripts, and `daca-js build` in components.

const PENDING = 0;
const FULFILLED = 1;
const REJECTED = 2;

/** Of what the engine's own async functions return. They wait for a loop, and there is none. */
const nativeThen = globalThis.Promise.prototype.then;
const NATIVE = "an `async` function that `eval` or `new Function` has made cannot be waited for: only those of the file can";
/** Rejected promises to which nothing has reacted. */
const unheard = new Set();

/** The state and the value of a promise; `undefined` of what is none. */
let peek;
/** Reactions that wait for those before them, so that a long chain needs no deep stack. */
let queue;

/** Runs reactions, and all that become due meanwhile. */
function runAll(reactions) {
  if (queue) {
    for (const react of reactions) queue.push(react);
    return;
  }
  queue = reactions;
  try {
    // The list grows while it is walked.
    for (let at = 0; at < queue.length; at += 1) {
      const react = queue[at];
      queue[at] = undefined;
      react();
    }
  } finally {
    queue = undefined;
  }
}

export class SettledPromise {
  #state = PENDING;
  #value;
  #reactions = [];

  static {
    peek = (it) => (#state in it ? { state: it.#state, value: it.#value } : undefined);
  }

  constructor(executor) {
    if (typeof executor !== "function") throw new TypeError("a promise takes a function");
    let called = false;
    const once = (settle) => (value) => {
      if (called) return;
      called = true;
      settle(value);
    };
    try {
      executor(once((value) => this.#resolve(value)), once((reason) => this.#settle(REJECTED, reason)));
    } catch (thrown) {
      if (!called) {
        called = true;
        this.#settle(REJECTED, thrown);
      }
    }
  }

  #resolve(value) {
    if (value === this) return this.#settle(REJECTED, new TypeError("a promise cannot wait for itself"));
    let then;
    try {
      then = isObject(value) ? value.then : undefined;
    } catch (thrown) {
      return this.#settle(REJECTED, thrown);
    }
    if (typeof then !== "function") return this.#settle(FULFILLED, value);
    if (then === nativeThen) return this.#settle(REJECTED, new TypeError(NATIVE));
    let called = false;
    try {
      then.call(
        value,
        (v) => { if (!called) { called = true; this.#resolve(v); } },
        (r) => { if (!called) { called = true; this.#settle(REJECTED, r); } },
      );
    } catch (thrown) {
      if (!called) this.#settle(REJECTED, thrown);
    }
  }

  #settle(state, value) {
    this.#state = state;
    this.#value = value;
    const reactions = this.#reactions;
    this.#reactions = [];
    if (reactions.length > 0) runAll(reactions);
    else if (state === REJECTED) unheard.add(this);
  }

  then(onFulfilled, onRejected) {
    unheard.delete(this);
    return new SettledPromise((resolve, reject) => {
      const react = () => {
        const handler = this.#state === FULFILLED ? onFulfilled : onRejected;
        if (typeof handler !== "function") {
          (this.#state === FULFILLED ? resolve : reject)(this.#value);
          return;
        }
        try {
          resolve(handler(this.#value));
        } catch (thrown) {
          reject(thrown);
        }
      };
      if (this.#state === PENDING) this.#reactions.push(react);
      else react();
    });
  }

  catch(onRejected) {
    return this.then(undefined, onRejected);
  }

  finally(last) {
    if (typeof last !== "function") return this.then(last, last);
    return this.then(
      (value) => SettledPromise.resolve(last()).then(() => value),
      (reason) => SettledPromise.resolve(last()).then(() => { throw reason; }),
    );
  }

  get [Symbol.toStringTag]() {
    return "Promise";
  }

  static resolve(value) {
    return isObject(value) && peek(value) ? value : new SettledPromise((resolve) => resolve(value));
  }

  static reject(reason) {
    return new SettledPromise((_, reject) => reject(reason));
  }

  static withResolvers() {
    let resolve, reject;
    const promise = new SettledPromise((a, b) => { resolve = a; reject = b; });
    return { promise, resolve, reject };
  }

  static try(call, ...values) {
    return new SettledPromise((resolve) => resolve(call(...values)));
  }

  static all(items) {
    return collect(items, (item, keep, reject) => item.then(keep, reject));
  }

  static allSettled(items) {
    return collect(items, (item, keep) =>
      item.then((value) => keep({ status: "fulfilled", value }), (reason) => keep({ status: "rejected", reason })));
  }

  static race(items) {
    return new SettledPromise((resolve, reject) => {
      for (const item of items) SettledPromise.resolve(item).then(resolve, reject);
    });
  }

  static any(items) {
    return new SettledPromise((resolve, reject) => {
      collect(items, (item, keep) => item.then(resolve, keep)).then((errors) =>
        reject(new AggregateError(errors, "every promise was rejected")));
    });
  }
}

function isObject(value) {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function collect(items, follow) {
  return new SettledPromise((resolve, reject) => {
    const values = [];
    let open = 1;
    const done = () => { if (--open === 0) resolve(values); };
    let index = 0;
    for (const item of items) {
      const at = index++;
      open += 1;
      follow(SettledPromise.resolve(item), (value) => { values[at] = value; done(); }, reject);
    }
    done();
  });
}

/** The first promise that was rejected and that nothing reacted to, as `{ reason }`. It forgets them all. */
export function takeUnheard() {
  for (const promise of unheard) {
    unheard.clear();
    return { reason: peek(promise).value };
  }
  return undefined;
}

/**
 * What a value that is waited for has settled to, `{ isRejected, value }`. If nothing has settled it yet, `undefined`:
 * then `later` gets it.
 */
export function awaited(value, later) {
  if (!isObject(value)) return { isRejected: false, value };
  const promise = SettledPromise.resolve(value);
  unheard.delete(promise);
  const found = peek(promise);
  if (found.state !== PENDING) return { isRejected: found.state === REJECTED, value: found.value };
  promise.then((value) => later({ isRejected: false, value }), (value) => later({ isRejected: true, value }));
  return undefined;
}

/**
 * Runs the body of an async function, which is a generator that yields what it awaits. In a loop: the stack is small,
 * and a method may await as often as it likes.
 */
export function asyncRun(self, values, body) {
  return new SettledPromise((resolve, reject) => {
    const steps = body.apply(self, values ?? []);
    const go = (outcome) => {
      while (outcome) {
        let step;
        try {
          step = outcome.isRejected ? steps.throw(outcome.value) : steps.next(outcome.value);
        } catch (thrown) {
          reject(thrown);
          return;
        }
        if (step.done) {
          resolve(step.value);
          return;
        }
        outcome = awaited(step.value, go);
      }
    };
    go({ isRejected: false, value: undefined });
  });
}

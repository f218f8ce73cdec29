// Promises that settle at once.
//
// A component's call into the host waits by itself, and there are no timers: when a method returns, every promise that
// will ever settle has settled. The engine has no loop that would run reactions later, so these run them immediately.
// Async functions are compiled to `asyncRun` (by the host for scripts, by `daca-js build` for components).

const PENDING = 0;
const FULFILLED = 1;
const REJECTED = 2;

export class SettledPromise {
  #state = PENDING;
  #value;
  #reactions = [];

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
      then = (typeof value === "object" && value !== null) || typeof value === "function" ? value.then : undefined;
    } catch (thrown) {
      return this.#settle(REJECTED, thrown);
    }
    if (typeof then !== "function") return this.#settle(FULFILLED, value);
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
    for (const react of reactions) react();
  }

  then(onFulfilled, onRejected) {
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
    return value instanceof SettledPromise ? value : new SettledPromise((resolve) => resolve(value));
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

/** Runs the body of an async function, which is a generator that yields what it awaits. */
export function asyncRun(self, values, body) {
  return new SettledPromise((resolve, reject) => {
    const steps = body.apply(self, values ?? []);
    const go = (step) => {
      let result;
      try {
        result = step();
      } catch (thrown) {
        reject(thrown);
        return;
      }
      if (result.done) resolve(result.value);
      else SettledPromise.resolve(result.value).then((v) => go(() => steps.next(v)), (e) => go(() => steps.throw(e)));
    };
    go(() => steps.next());
  });
}

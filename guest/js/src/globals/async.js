// What transformed async functions and generators call: the helpers of Babel, which the host's transformer uses, over
// promises that settle at once.
import { SettledPromise, asyncRun, awaited } from "./promise.js";

/** A value that an async generator awaits, in contrast to one that it yields. */
class Awaited {
  constructor(value) {
    this.value = value;
  }
}

/** The body of an async function as a function that returns a promise. */
function asyncToGenerator(body) {
  return function (...values) {
    return asyncRun(this, values, body);
  };
}

/** The body of an async generator as a function that returns one. */
function wrapAsyncGenerator(body) {
  return function (...values) {
    return new AsyncGenerator(body.apply(this, values));
  };
}

class AsyncGenerator {
  #steps;
  constructor(steps) {
    this.#steps = steps;
  }
  #run(kind, argument) {
    return new SettledPromise((resolve, reject) => {
      // In a loop, as `asyncRun`.
      const go = (kind, argument) => {
        for (;;) {
          let step;
          try {
            step = this.#steps[kind](argument);
          } catch (thrown) {
            reject(thrown);
            return;
          }
          const isAwaited = step.value instanceof Awaited && !step.done;
          const take = ({ isRejected, value }) => {
            if (isAwaited) return true;
            if (!isRejected) resolve({ value, done: step.done });
            else if (step.done) reject(value);
            else return true;
            return false;
          };
          const resume = (outcome) => {
            if (take(outcome)) go(outcome.isRejected ? "throw" : "next", outcome.value);
          };
          const outcome = awaited(isAwaited ? step.value.value : step.value, resume);
          if (!outcome || !take(outcome)) return;
          [kind, argument] = [outcome.isRejected ? "throw" : "next", outcome.value];
        }
      };
      go(kind, argument);
    });
  }
  next(value) {
    return this.#run("next", value);
  }
  throw(reason) {
    return this.#run("throw", reason);
  }
  return(value) {
    return this.#run("return", value);
  }
  [Symbol.asyncIterator]() {
    return this;
  }
}

/** The iterator of `for await`: an async one, or that of a list whose values are waited for. */
function asyncIterator(iterable) {
  const own = iterable[Symbol.asyncIterator];
  if (own) return own.call(iterable);
  const plain = iterable[Symbol.iterator]?.();
  if (!plain) throw new TypeError("the value of `for await` cannot be iterated");
  const settled = (step) => SettledPromise.resolve(step.value).then((value) => ({ value, done: step.done }));
  return {
    next: (value) => SettledPromise.try(() => settled(plain.next(value))),
    return: (value) => SettledPromise.try(() => settled(plain.return ? plain.return(value) : { value, done: true })),
  };
}

/** `Array.fromAsync`. The engine's own waits for a loop that does not exist. */
export function fromAsync(items, map, self) {
  return asyncRun(undefined, [], function* () {
    if (map !== undefined && typeof map !== "function") throw new TypeError("the second value of fromAsync() is a function");
    const found = [];
    const isIterable = items[Symbol.asyncIterator] ?? items[Symbol.iterator];
    const steps = asyncIterator(isIterable ? items : Array.from(items));
    for (let step; !(step = yield steps.next()).done; ) {
      try {
        found.push(map ? yield map.call(self, step.value, found.length) : step.value);
      } catch (thrown) {
        try {
          yield steps.return?.();
        } catch {
          // What it was ended for counts.
        }
        throw thrown;
      }
    }
    return found;
  });
}

/** `yield*` of an async iterator within an async generator. */
function* asyncGeneratorDelegate(iterator) {
  for (;;) {
    const step = yield new Awaited(iterator.next());
    if (step.done) return step.value;
    yield step.value;
  }
}

export const babelHelpers = Object.freeze({
  asyncGeneratorDelegate,
  asyncIterator,
  asyncToGenerator,
  awaitAsyncGenerator: (value) => new Awaited(value),
  wrapAsyncGenerator,
});

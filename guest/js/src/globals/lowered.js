// What the async functions of a component of `daca-js build` call: `tools/lowered.js` puts it in the place of esbuild's
// helpers. For scripts the host does the same with the helpers of Babel.
import { babelHelpers } from "./async.js";
import { asyncRun } from "./promise.js";

const { asyncGeneratorDelegate, asyncIterator, awaitAsyncGenerator, wrapAsyncGenerator } = babelHelpers;

// By a property of the global object, since the helpers are no module and cannot import.
Object.defineProperty(globalThis, "__dacaAsync", {
  value: Object.freeze({
    run: asyncRun,
    generator: (self, values, body) => wrapAsyncGenerator(body).apply(self, values ?? []),
    wait: awaitAsyncGenerator,
    delegate: (iterable) => asyncGeneratorDelegate(asyncIterator(iterable)),
  }),
});

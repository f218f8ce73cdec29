// The async functions of a component, which esbuild makes generators of. Its own helpers resume them in reactions to
// promises: since these settle at once, each `await` would be some frames deeper, and a loop would soon fill the stack
// of the engine. Those of `src/globals/lowered.js` resume them in a loop.

/** What takes the place of esbuild's helpers, and how many values they take. */
const REPLACED = {
  __async: [3, "(self, values, body) => globalThis.__dacaAsync.run(self, values, body)"],
  __asyncGenerator: [3, "(self, values, body) => globalThis.__dacaAsync.generator(self, values, body)"],
  // It is called with `new`.
  __await: [2, "function(value) { return globalThis.__dacaAsync.wait(value); }"],
  __yieldStar: [1, "(iterable) => globalThis.__dacaAsync.delegate(iterable)"],
};

/** A helper as esbuild writes it. Another name of the bundle may have given it a number. */
const HELPER = /^var (__async|__asyncGenerator|__await|__yieldStar)(\d*) = (?:function ?)?\(([\w, ]*)\) (?:=> )?\{\n(?: .*\n)*\};$/gm;
/** A helper that was not replaced. */
const LEFT = /^var (?:__async\w*|__await\d*|__yieldStar\d*) = (?!.*\b__dacaAsync\b).*$/gm;

/** A bundle whose async functions are run by the SDK, as far as `names` has their helpers. It keeps its lines. */
export function withOwnAsync(script, names = Object.keys(REPLACED)) {
  // The helpers are before the first module, which a comment names. What a package has of these names is its own.
  const end = script.search(/^\/\/ /m);
  const modules = end < 0 ? "" : script.slice(end);
  const helpers = script.slice(0, script.length - modules.length).replace(HELPER, (text, name, number, parameters) => {
    const [count, own] = REPLACED[name];
    if (!names.includes(name)) return text;
    if (parameters.split(",").length !== count) return text;
    return `var ${name}${number} = ${own};${"\n".repeat(text.split("\n").length - 1)}`;
  });
  const isKept = (line) => Object.keys(REPLACED).some((name) => !names.includes(name) && RegExp(`^var ${name}\\d* = `).test(line));
  const left = helpers.match(LEFT)?.find((line) => !isKept(line));
  if (left) throw new Error(`esbuild writes a helper of async functions as daca-js does not know it: ${left}`);
  return helpers + modules;
}

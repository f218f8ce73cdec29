// The engines that a component may bring.
import { readFile } from "node:fs/promises";
import { join, sep } from "node:path";
import { componentize } from "componentize-qjs";
import { placeIn } from "../src/frames.js";
import { BuildError } from "./build-error.js";
import { withOwnAsync } from "./lowered.js";
import { PACKAGE } from "./world.js";

/** What `@daca/sdk` has for components on every engine. */
const SHARED = { "@daca/sdk": "src/index.js", "@daca/sdk/turn": "src/host/turn.js" };

/**
 * `files` are the modules behind names, and `conditions` those of `imports` in `package.json`. `first` is what a
 * component begins with, and `last` what it does when all is loaded. `finish` changes the text of a bundle, but not its
 * lines, and `width` is what the engine counts columns in. `componentize` makes the component, and `fault` says what its
 * error means, by the table of the agent's lines.
 */
const QUICKJS = {
  conditions: [],
  files: {
    ...SHARED,
    "@daca/sdk/component": "src/component.js",
    "@daca/sdk/globals": "src/globals/index.js",
    "@daca/sdk/lowered": "src/globals/lowered.js",
    "@daca/sdk/random": "src/globals/random.js",
    "@daca/sdk/stacks": "src/globals/stacks.js",
  },
  first: ["@daca/sdk/stacks", "@daca/sdk/globals", "@daca/sdk/lowered"],
  last: ['import { dropDrawn } from "@daca/sdk/random";', "dropDrawn();"],
  finish: (script) => withOwnAsync(script),
  width: (text) => Buffer.byteLength(text),
  componentize: ({ jsSource, witPath, world }) => componentize({ jsSource, sync: true, witPath, world }),
  fault: (message, entry) => `${entry}: ${message}`,
};

/** Its web APIs are its own, and it has a loop for promises. */
const STARLINGMONKEY = {
  conditions: ["starlingmonkey"],
  files: {
    ...SHARED,
    "@daca/sdk/component": "src/starling/component.js",
    "@daca/sdk/globals": "src/starling/globals.js",
    "@daca/sdk/stacks": "src/starling/stacks.js",
    ...Object.fromEntries(["actors", "bindings", "reminders", "state", "timers"].map((name) =>
      [`#host/${name}`, `src/starling/host/${name}.js`])),
  },
  first: ["@daca/sdk/stacks", "@daca/sdk/globals"],
  last: [],
  finish: (script) => withOwnAsync(script, ["__async"]),
  width: (text) => text.length,
  async componentize({ jsSource, witPath, world }) {
    const tool = await componentizeJs();
    // The host offers no HTTP: a component that imports it is warned of with each deployment.
    const { component } = await tool.componentize(jsSource, {
      sourceName: "agent.js", witPath, worldName: world, disableFeatures: ["http", "fetch-event"],
    });
    return { component: Buffer.from(component) };
  },
  fault(message, entry, table) {
    const [, line, column, thrown] = /^agent\.js:(\d+):(\d+) (.*)$/m.exec(message) ?? [];
    if (thrown) return `${placeIn(table, line - 1, Number(column)) ?? entry}: it throws while it is loaded: ${thrown}`;
    const [, name, call] = /unknown imported function: '([^']+)' '([^']+)'/.exec(message) ?? [];
    if (name) return `${entry}: it calls ${name} ${call} while it is loaded, when there is no host: do so in a method`;
    return `${entry}: ${message}`;
  },
};

const ENGINES = { quickjs: QUICKJS, starlingmonkey: STARLINGMONKEY };

/** The engine of a name. */
export function engineOf(name) {
  if (!Object.hasOwn(ENGINES, name)) {
    throw new BuildError(`there is no engine ${JSON.stringify(name)}: use ${Object.keys(ENGINES).join(" or ")}`);
  }
  return ENGINES[name];
}

const COMPONENTIZE_JS = "@bytecodealliance/componentize-js";

/**
 * The tool for StarlingMonkey, in the version that this package is made for. It is large, and so not a dependency. It
 * needs two packages more, without saying in which versions they fit.
 */
export async function componentizeJs(load = () => import(COMPONENTIZE_JS)) {
  const { peerDependencies } = JSON.parse(await readFile(join(PACKAGE, "package.json"), "utf8"));
  const version = peerDependencies[COMPONENTIZE_JS];
  const needed = `the engine starlingmonkey needs ${COMPONENTIZE_JS} ${version}`;
  const [project] = PACKAGE.split(`${sep}node_modules${sep}`);
  const packages = Object.entries(peerDependencies).map(([name, exact]) => `${name}@${exact}`);
  const help = `in ${project}: npm install --save-dev --save-exact ${packages.join(" ")}`;
  let tool;
  try {
    tool = await load();
  } catch (e) {
    if (e?.code !== "ERR_MODULE_NOT_FOUND") throw e;
    throw new BuildError(`${needed}, which is not installed. Run ${help}`);
  }
  if (tool.version !== version) throw new BuildError(`${needed}, and finds ${tool.version}. Run ${help}`);
  return tool;
}

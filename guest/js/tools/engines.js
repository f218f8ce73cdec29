// The engines that a component may bring.
import { readFile } from "node:fs/promises";
import { join, sep } from "node:path";
import { componentize } from "componentize-qjs";
import { BuildError } from "./build-error.js";
import { withOwnAsync } from "./lowered.js";
import { PACKAGE } from "./world.js";

/** What `@daca/sdk` has for components on every engine. */
const SHARED = { "@daca/sdk": "src/index.js", "@daca/sdk/turn": "src/host/turn.js" };

/**
 * `files` are the modules behind names, `conditions` those of `imports` in `package.json`, and `first` what a component
 * begins with. `finish` changes the text of a bundle, but not its lines, and `width` is what the engine counts columns in.
 * `componentize` makes the component.
 */
const QUICKJS = {
  conditions: [],
  files: {
    ...SHARED,
    "@daca/sdk/component": "src/component.js",
    "@daca/sdk/globals": "src/globals/index.js",
    "@daca/sdk/lowered": "src/globals/lowered.js",
    "@daca/sdk/stacks": "src/globals/stacks.js",
  },
  first: ["@daca/sdk/stacks", "@daca/sdk/globals", "@daca/sdk/lowered"],
  finish: withOwnAsync,
  width: (text) => Buffer.byteLength(text),
  componentize: ({ jsSource, witPath, world }) => componentize({ jsSource, sync: true, witPath, world }),
};

/** Its web APIs are its own, and it has a loop for promises. */
const STARLINGMONKEY = {
  conditions: ["starlingmonkey"],
  files: {
    ...SHARED,
    "@daca/sdk/component": "src/starling/component.js",
    "@daca/sdk/globals": "src/starling/globals.js",
    "@daca/sdk/stacks": "src/starling/stacks.js",
  },
  first: ["@daca/sdk/stacks", "@daca/sdk/globals"],
  finish: (script) => script,
  width: (text) => text.length,
  async componentize({ jsSource, witPath, world }) {
    const tool = await componentizeJs();
    // The host offers no HTTP: a component that imports it is warned of with each deployment.
    return tool.componentize(jsSource, {
      sourceName: "agent.js", witPath, worldName: world, disableFeatures: ["http", "fetch-event"],
    });
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

/** The tool for StarlingMonkey, in the version that this package is made for. It is large, and so not a dependency. */
export async function componentizeJs(load = () => import(COMPONENTIZE_JS)) {
  const { peerDependencies } = JSON.parse(await readFile(join(PACKAGE, "package.json"), "utf8"));
  const version = peerDependencies[COMPONENTIZE_JS];
  const needed = `the engine starlingmonkey needs ${COMPONENTIZE_JS} ${version}`;
  const [project] = PACKAGE.split(`${sep}node_modules${sep}`);
  const help = `in ${project}: npm install --save-dev --save-exact ${COMPONENTIZE_JS}@${version}`;
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

// The world of a component: what its bundle imports, and what its class can be called for. A world with more would ask
// for permissions that the agent does not use.
import { cp, mkdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BuildError } from "./build-error.js";

const PACKAGE = dirname(dirname(fileURLToPath(import.meta.url)));

/** The optional exports of the contract, by the hooks that need them. */
const EXPORTS = {
  activate: "lifecycle",
  deactivate: "lifecycle",
  onReminder: "on-reminder",
  onTimer: "on-timer",
  onEffectFailed: "on-effect-failed",
  migrate: "migration",
};

/** The names of the optional interfaces that an agent with these hooks exports. */
export function optionalExports(hooks) {
  return [...new Set(hooks.map((hook) => EXPORTS[hook]))];
}

/** The folder with the contract: that of the package, or of the repository that the package lies in. */
export async function contract() {
  for (const folder of [join(PACKAGE, "wit/contract"), join(PACKAGE, "../../wit")]) {
    if (await stat(join(folder, "agent.wit")).catch(() => undefined)) return folder;
  }
  throw new BuildError(`the contract is missing: ${join(PACKAGE, "wit/contract/agent.wit")}. Install the package anew`);
}

/** Writes a folder of WIT with a world, and returns its path. */
export async function writeWorld(folder, world) {
  const wit = join(folder, "wit");
  const from = await contract();
  await mkdir(join(wit, "deps/daca-agent"), { recursive: true });
  await writeFile(join(wit, "world.wit"), world);
  await cp(join(from, "agent.wit"), join(wit, "deps/daca-agent/agent.wit"));
  await cp(join(from, "deps"), join(wit, "deps"), { recursive: true });
  await cp(join(PACKAGE, "wit/wasi-random"), join(wit, "deps/wasi-random"), { recursive: true });
  return wit;
}

/** The text of an agent's own world. */
export function worldOf(imports, hooks) {
  const lines = [
    ...imports.map((name) => `    import ${name};`),
    "    export daca:agent/actor@0.1.0;",
    ...optionalExports(hooks).map((name) => `    export daca:agent/${name}@0.1.0;`),
  ];
  return `package local:agent;\n\nworld agent {\n${lines.join("\n")}\n}\n`;
}

export { PACKAGE };

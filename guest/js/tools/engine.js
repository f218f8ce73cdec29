#!/usr/bin/env node
// Builds the JavaScript engine that the host brings: `node tools/engine.js OUTPUT`. Beside it, `OUTPUT.sources` has the
// SHA-256 of what it was built from, by which a test notices that it is stale: the file itself differs with each build.
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { componentize } from "componentize-qjs";
import { bundle } from "./bundle.js";
import { PACKAGE, contract, writeWorld } from "./world.js";

/** Everything that an engine is built from. */
async function sources() {
  const { outputFiles } = await bundle({ entryPoints: [join(PACKAGE, "engine/engine.js")], absWorkingDir: PACKAGE });
  const world = await readFile(join(PACKAGE, "engine/world.wit"), "utf8");
  const { dependencies } = JSON.parse(await readFile(join(PACKAGE, "package.json"), "utf8"));
  // The comments of a bundle name its files, and so where the packages lie on this machine.
  const script = outputFiles[0].text.split("\n").filter((line) => !line.startsWith("// ")).join("\n");
  return { script, world, tool: dependencies["componentize-qjs"] };
}

/** The SHA-256 of the sources, in hexadecimal. */
export async function digestOfSources() {
  const { script, world, tool } = await sources();
  const agent = interfacesOf(await readFile(join(await contract(), "agent.wit"), "utf8"));
  const hash = createHash("sha256");
  for (const part of [script, world, agent, tool]) hash.update(`${part.length} `).update(part);
  return hash.digest("hex");
}

/** The declarations that the engine is built from: neither comments nor the worlds of agents. */
function interfacesOf(contract) {
  return contract.split(/^world agent /m)[0].split("\n").filter((line) => line.trim() && !/^ *\/\//.test(line)).join("\n");
}

/** The component, without the folders of the machine that its tool was built on. */
function withoutFolders(component) {
  const text = component.toString("latin1");
  const folders = /\/home\/runner\/\.cargo\/(registry\/src\/[^/]+|git\/checkouts\/[^/]+\/[0-9a-f]+)\//g;
  const neutral = text.replace(folders, (path) => `/deps${"/".repeat(path.length - 5)}`);
  return Buffer.from(neutral, "latin1");
}

async function build(output) {
  const folder = await mkdtemp(join(tmpdir(), "daca-engine-"));
  try {
    const { script, world } = await sources();
    const witPath = await writeWorld(folder, world);
    const { component } = await componentize({ jsSource: script, sync: true, witPath, world: "engine" });
    await writeFile(output, withoutFolders(component));
    await writeFile(`${output}.sources`, `${await digestOfSources()}\n`);
  } finally {
    await rm(folder, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build(process.argv[2]);

#!/usr/bin/env node
// Builds the JavaScript engine that the host brings: `node tools/engine.js OUTPUT`.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { componentize } from "componentize-qjs";
import { bundle } from "./bundle.js";
import { PACKAGE, writeWorld } from "./world.js";

const [output] = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), "daca-engine-"));
try {
  const { outputFiles } = await bundle({ entryPoints: [join(PACKAGE, "engine/engine.js")] });
  const witPath = await writeWorld(folder, await readFile(join(PACKAGE, "engine/world.wit"), "utf8"));
  const { component } = await componentize({ jsSource: outputFiles[0].text, sync: true, witPath, world: "engine" });
  await writeFile(output, component);
} finally {
  await rm(folder, { recursive: true });
}

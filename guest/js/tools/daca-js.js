#!/usr/bin/env node
// The command `daca-js`: builds an agent's component, or its single script.
import { writeFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { parseArgs } from "node:util";
import { BuildError } from "./build-error.js";
import { buildComponent, bundleScript } from "./build.js";

const USAGE = `Usage:
  daca-js build ENTRY [-o FILE.wasm]    builds a component
  daca-js bundle ENTRY [-o FILE.js]     makes one script of an entry and its packages
ENTRY is a JavaScript or TypeScript module whose default export is agent(Class).`;

const COMMANDS = { build: [buildComponent, ".wasm"], bundle: [bundleScript, ".bundle.js"] };

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { output: { type: "string", short: "o" }, help: { type: "boolean", short: "h" } },
  });
  const [name, entry, ...rest] = positionals;
  if (values.help) return console.log(USAGE);
  if (!COMMANDS[name] || !entry || rest.length > 0) throw new BuildError(USAGE);
  const [make, end] = COMMANDS[name];
  const output = values.output ?? basename(entry, extname(entry)) + end;
  const contents = await make(entry);
  await writeFile(output, contents);
  console.log(`${output}: ${Buffer.byteLength(contents).toLocaleString("en")} bytes`);
}

main().catch((e) => {
  console.error(e instanceof BuildError || e?.code?.startsWith?.("ERR_PARSE_ARGS") ? `error: ${e.message}` : e);
  process.exitCode = 1;
});

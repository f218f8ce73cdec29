#!/usr/bin/env node
// The command `daca-js`: builds an agent's component, or its single script.
import { writeFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { parseArgs } from "node:util";
import { BuildError } from "./build-error.js";
import { buildComponent, bundleScript } from "./build.js";

const USAGE = `Usage:
  daca-js build ENTRY [--engine ENGINE] [-o FILE.wasm]    builds a component
  daca-js bundle ENTRY [-o FILE.js]                       makes one script of an entry and its packages
ENTRY is a JavaScript or TypeScript module whose default export is agent(Class).
ENGINE is the JavaScript engine in the component:
  quickjs          the default: small
  starlingmonkey   SpiderMonkey with web APIs, such as crypto.subtle and streams: about 12 MB, and many times the
                   memory. It needs the package @bytecodealliance/componentize-js`;

const COMMANDS = { build: [buildComponent, ".wasm"], bundle: [bundleScript, ".bundle.js"] };

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { engine: { type: "string" }, output: { type: "string", short: "o" }, help: { type: "boolean", short: "h" } },
  });
  const [name, entry, ...rest] = positionals;
  if (values.help) return console.log(USAGE);
  if (!COMMANDS[name] || !entry || rest.length > 0) throw new BuildError(USAGE);
  if (name === "bundle" && values.engine) throw new BuildError("a script has the engine of the host: --engine is for build");
  const [make, end] = COMMANDS[name];
  const output = values.output ?? basename(entry, extname(entry)) + end;
  const contents = await make(entry, { engine: values.engine });
  await writeFile(output, contents);
  console.log(`${output}: ${Buffer.byteLength(contents).toLocaleString("en")} bytes`);
}

main().catch((e) => {
  console.error(e instanceof BuildError || e?.code?.startsWith?.("ERR_PARSE_ARGS") ? `error: ${e.message}` : e);
  process.exitCode = 1;
});

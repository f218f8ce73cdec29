// What `daca-js build` makes and refuses.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "node:test";
import { buildComponent, bundleScript } from "../tools/build.js";
import { digestOfSources } from "../tools/engine.js";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

const run = (program, words, options) => new Promise((resolve) =>
  execFile(program, words, options, (error, out, err) => resolve({ code: error?.code ?? 0, out, err })));

const command = (...words) => run(process.execPath, [here("../tools/daca-js.js"), ...words]);

/** Checks the message with which a source is refused. A pattern may depend on the path of the source. */
async function refused(source, pattern) {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "daca-js-test-")));
  try {
    const entry = join(folder, "agent.ts");
    await writeFile(entry, source);
    await assert.rejects(buildComponent(entry), (e) => {
      if (typeof pattern === "function") assert.equal(e.message, pattern(entry));
      else assert.match(e.message, pattern);
      return true;
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("popular packages and TypeScript become a component with no import that the agent does not use", async () => {
  const component = await buildComponent(here("build/packages.ts"));
  assert.deepEqual([...component.subarray(0, 4)], [0, 0x61, 0x73, 0x6d]);
  const text = component.toString("latin1");
  for (const used of ["daca:agent/state@0.1.0", "daca:agent/reminders@0.1.0", "daca:agent/on-reminder@0.1.0"]) {
    assert.ok(text.includes(used), used);
  }
  for (const unused of ["daca:agent/secrets@0.1.0", "daca:agent/actors@0.1.0", "daca:agent/migration@0.1.0", "daca:agent/on-timer@0.1.0"]) {
    assert.ok(!text.includes(unused), unused);
  }
});

test("errors name file, line and column of the author's source", async () => {
  await refused('import { agent } from "@daca/sdk";\nclass A {\n  M() { return 1 +; }\n}\nexport default agent(A);\n', /agent\.ts:3:19/);
  await refused("export default 7;\n", /no agent/);
  await refused('import { readFileSync } from "node:fs";\nimport { agent } from "@daca/sdk";\nexport default agent(class { M() { return readFileSync("x"); } });\n', /node:fs/);
  await refused('import { gone } from "./gone.js";\nexport default gone;\n', /agent\.ts:1:\d+.*gone/);
  // The path leads to the file from here.
  const thrown = (entry) => `${relative(process.cwd(), entry)}:2: it throws while it is loaded: at the top`;
  await refused('import { agent } from "@daca/sdk";\nthrow new Error("at the top");\nexport default agent(class {});\n', thrown);
});

test("what needs Node is refused before it runs there", async () => {
  const folder = await mkdtemp(join(tmpdir(), "daca-js-test-"));
  const written = join(folder, "written");
  const source = `import { agent } from "@daca/sdk";\nimport { writeFileSync } from "node:fs";\nwriteFileSync(${JSON.stringify(written)}, "");\nexport default agent(class {});\n`;
  await refused(source, /node:fs/);
  await assert.rejects(readFile(written), { code: "ENOENT" });
  await rm(folder, { recursive: true });
});

test("a bundle's length is that of its bytes", async () => {
  const folder = await mkdtemp(join(tmpdir(), "daca-js-test-"));
  await writeFile(join(folder, "agent.js"), 'import { agent } from "@daca/sdk";\nexport default agent(class { M() { return "é😀"; } });\n');
  const { out } = await command("bundle", join(folder, "agent.js"), "-o", join(folder, "out.js"));
  assert.match(out, new RegExp(`: ${(await readFile(join(folder, "out.js"))).length} bytes`));
  await rm(folder, { recursive: true });
});

test("a bundle is one script that imports the SDK alone", async () => {
  const script = await bundleScript(here("build/packages.ts"));
  const imported = [...script.matchAll(/^import .* from "([^"]+)";$/gm)].map(([, from]) => from);
  assert.deepEqual(imported, ["@daca/sdk"]);
  assert.doesNotMatch(script, /^\s*async\s+\w+\(/m);
});

test("the package that is published has the contract", async () => {
  const folder = await mkdtemp(join(tmpdir(), "daca-js-test-"));
  const copy = join(folder, "guest/js");
  try {
    await cp(here(".."), copy, { recursive: true, filter: (path) => !/node_modules$|wit\/contract$/.test(path) });
    await cp(here("../../../wit"), join(folder, "wit"), { recursive: true });
    // Those of the npm that runs this test name its own folder.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
    const words = ["pack", "--dry-run", "--json", "--foreground-scripts=false"];
    const { code, out, err } = await run("npm", words, { cwd: copy, env });
    assert.equal(code, 0, err);
    const [{ files }] = Object.values(JSON.parse(out.slice(out.search(/[[{]/))));
    const paths = files.map(({ path }) => path);
    for (const path of ["wit/contract/agent.wit", "wit/contract/deps/wasi-config/store.wit", "src/index.d.ts", "tools/daca-js.js"]) {
      assert.ok(paths.includes(path), `${path} of ${paths}`);
    }
    await assert.rejects(stat(join(copy, "wit/contract")), { code: "ENOENT" }, "builds in the repository use its own");

    await rm(join(folder, "wit"), { recursive: true });
    const { contract } = await import(pathToFileURL(join(copy, "tools/world.js")).href);
    await assert.rejects(contract(), (e) => e.constructor.name === "BuildError" && /the contract is missing/.test(e.message));
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the host knows what the SDK exports", async () => {
  const rust = await readFile(here("../../../host/script/src/sdk.rs"), "utf8");
  const list = (name) => [...new RegExp(`const ${name}: &\\[&str\\] = &\\[([^\\]]*)\\];`).exec(rust)[1].matchAll(/"(\w+)"/g)].map(([, it]) => it).sort();
  assert.deepEqual(list("EXPORTS"), Object.keys(await import("@daca/sdk")).sort());
  const types = await readFile(here("../src/index.d.ts"), "utf8");
  assert.deepEqual(list("TYPES"), [...types.matchAll(/^export (?:interface|type) (\w+)/gm)].map(([, it]) => it).sort());
});

test("the command says how it is used, and what went wrong", async () => {
  assert.match((await command("--help")).out, /daca-js build/);
  for (const words of [[], ["build"], ["pack", "x"], ["build", "--wrong"]]) {
    const { code, err } = await command(...words);
    assert.equal(code, 1);
    assert.match(err, /^error: /);
  }
});

test("the engine that the host brings is built from these sources", async () => {
  const known = await readFile(here("../../../host/script/engine/javascript.wasm.sources"), "utf8");
  assert.equal(await digestOfSources(), known.trim(), "run: node tools/engine.js ../../host/script/engine/javascript.wasm");
});

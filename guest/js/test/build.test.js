// What `daca-js build` makes and refuses.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, realpath, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "node:test";
import "../src/globals/lowered.js";
import { SettledPromise } from "../src/globals/promise.js";
import { buildComponent, bundleScript } from "../tools/build.js";
import { bundle } from "../tools/bundle.js";
import { digestOfSources } from "../tools/engine.js";
import { componentizeJs } from "../tools/engines.js";
import { withOwnAsync } from "../tools/lowered.js";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

const run = (program, words, options) => new Promise((resolve) =>
  execFile(program, words, options, (error, out, err) => resolve({ code: error?.code ?? 0, out, err })));

const command = (...words) => run(process.execPath, [here("../tools/daca-js.js"), ...words]);

/** Checks the message with which a source is refused. A pattern may depend on the path of the source. */
async function refused(source, pattern, options) {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "daca-js-test-")));
  try {
    const entry = join(folder, "agent.ts");
    await writeFile(entry, source);
    await assert.rejects(buildComponent(entry, options), (e) => {
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

test("a component on StarlingMonkey imports what the agent uses, and no HTTP", async () => {
  const component = await buildComponent(here("build/packages.ts"), { engine: "starlingmonkey" });
  const text = component.toString("latin1");
  for (const used of ["daca:agent/state@0.1.0", "daca:agent/reminders@0.1.0", "daca:agent/on-reminder@0.1.0"]) {
    assert.ok(text.includes(used), used);
  }
  for (const unused of ["wasi:http/types@", "wasi:http/outgoing-handler@", "daca:agent/secrets@", "daca:agent/migration@", "daca:agent/on-timer@"]) {
    assert.ok(!text.includes(unused), unused);
  }
});

test("what fails while StarlingMonkey loads a module is said with its place", async () => {
  const options = { engine: "starlingmonkey" };
  const source = (statement) => `import { agent, state } from "@daca/sdk";\nif (typeof process === "undefined") ${statement};\nexport default agent(class {});\n`;
  await refused(source('throw new RangeError("at the top")'), /agent\.ts:2: it throws while it is loaded: RangeError: at the top$/, options);
  await refused(source('state.get("a")'), /agent\.ts: it calls daca:agent\/state@0\.1\.0 get while it is loaded, when there is no host/, options);
});

test("the tool for StarlingMonkey is asked for in its version", async () => {
  const missing = () => Promise.reject(Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" }));
  const { peerDependencies } = JSON.parse(await readFile(here("../package.json"), "utf8"));
  for (const [load, found] of [[missing, "is not installed"], [async () => ({ version: "0.1.0" }), "finds 0.1.0"]]) {
    await assert.rejects(componentizeJs(load), (e) => {
      assert.equal(e.constructor.name, "BuildError");
      for (const [name, version] of Object.entries(peerDependencies)) assert.ok(e.message.includes(`${name}@${version}`), e.message);
      return e.message.includes(found);
    });
  }
  await refused("export default 7;\n", /no engine "v8": use quickjs or starlingmonkey/, { engine: "v8" });
});

test("errors name file, line and column of the author's source", async () => {
  await refused('import { agent } from "@daca/sdk";\nclass A {\n  M() { return 1 +; }\n}\nexport default agent(A);\n', /agent\.ts:3:19/);
  await refused("export default 7;\n", /no agent/);
  await refused('import { readFileSync } from "node:fs";\nimport { agent } from "@daca/sdk";\nexport default agent(class { M() { return readFileSync("x"); } });\n', /node:fs/);
  await refused('import { gone } from "./gone.js";\nexport default gone;\n', /agent\.ts:1:\d+.*gone/);
  const place = (entry) => relative(process.cwd(), entry);
  const node = 'is a module of Node, which an agent does not have: use what @daca/sdk has instead, such as bindings and config, or a package for browsers';
  for (const name of ["fs", "node:fs"]) {
    const source = `import { agent } from "@daca/sdk";\nimport * as fs from "${name}";\nexport default agent(class { M() { return fs.readFileSync("x"); } });\n`;
    await refused(source, (entry) => `${place(entry)}:2:21: "${name}" ${node}`);
  }
  await refused('import "@gone/package/part";\nexport default 7;\n', /agent\.ts:1:8: Could not resolve "@gone\/package\/part": is it installed\? npm install @gone\/package$/);
  await refused("export const a = 7;\n", (entry) => `${place(entry)}: the default export is no agent: write \`export default agent(MyClass)\``);
  // The path leads to the file from here.
  const thrown = (entry) => `${relative(process.cwd(), entry)}:2: it throws while it is loaded: at the top`;
  await refused('import { agent } from "@daca/sdk";\nthrow new Error("at the top");\nexport default agent(class {});\n', thrown);
});

test("an entry that is no file is named", async () => {
  for (const make of [buildComponent, bundleScript]) {
    await assert.rejects(make("nope.ts"), (e) => e.constructor.name === "BuildError" && e.message === "nope.ts: there is no such file");
    await assert.rejects(make(here("types")), /types: it is no file/);
  }
});

test("a class that cannot be made is refused with the line of its author", async () => {
  const agentOf = (line) => `import { agent } from "@daca/sdk";\nclass A {\n  ${line}\n}\nexport default agent(A);\n`;
  const unmade = (entry) => `${relative(process.cwd(), entry)}:3: the class cannot be made: no`;
  await refused(agentOf('constructor() { throw new Error("no"); }'), unmade);
  await refused(agentOf('n = (() => { throw new Error("no"); })();'), unmade);
  await refused(agentOf('n = void Promise.reject(new Error("no"));'), unmade);
});

test("what needs Node is refused before it runs there", async () => {
  const folder = await mkdtemp(join(tmpdir(), "daca-js-test-"));
  const written = join(folder, "written");
  const source = `import { agent } from "@daca/sdk";\nimport { writeFileSync } from "node:fs";\nwriteFileSync(${JSON.stringify(written)}, "");\nexport default agent(class {});\n`;
  await refused(source, /node:fs/);
  await assert.rejects(readFile(written), { code: "ENOENT" });
  await writeFile(join(folder, "agent.ts"), source);
  await assert.rejects(bundleScript(join(folder, "agent.ts")), /agent\.ts:2:31: "node:fs" is a module of Node/);
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
  // The host makes generators of async functions. Helpers of esbuild would need some frames for each `await`.
  assert.match(script, /^\s*async Place\(/m);
  assert.doesNotMatch(script, /\b__async\b/);
});

test("an `await` outside of a function is refused in a bundle, with its place", async () => {
  const folder = await mkdtemp(join(tmpdir(), "daca-js-test-"));
  const entry = join(folder, "agent.js");
  await writeFile(entry, 'import { agent } from "@daca/sdk";\nawait 1;\nexport default agent(class {});\n');
  await assert.rejects(bundleScript(entry), /agent\.js:2:\d+: /);
  await rm(folder, { recursive: true });
});

/** Everything that esbuild has a helper of async functions for. */
const ASYNC = `
  const one = async (n) => await n;
  async function* numbers(count) { for (let n = 0; n < count; n++) yield await one(n); return "end"; }
  async function* passedOn(count) { return yield* numbers(count); }
  class Sums {
    async all(count, sum = 1) {
      for (let n = 0; n < count; n++) sum += await this.thrown(n);
      for await (const n of passedOn(count)) sum += n;
      for await (const n of [one(1), 2]) sum += n;
      return [sum, depth()];
    }
    async thrown(n) {
      try { await Promise.reject(n); } catch (e) { return await one(e); }
    }
  }
  outcome(new Sums().all(5_000));
  export {};
`;

test("any number of awaits in a component needs no deeper stack", async () => {
  const { outputFiles: [{ text }] } = await bundle({ stdin: { contents: ASYNC, loader: "js" } });
  const script = withOwnAsync(text);
  assert.equal(script.split("\n").length, text.split("\n").length, "the lines of the author stay where they are");
  for (const name of ["__async", "__asyncGenerator", "__await", "__yieldStar"]) {
    assert.match(script, new RegExp(`^var ${name} = .*\\b__dacaAsync\\b`, "m"));
  }
  // Node's stack is larger than that of the engine, so the depth is measured.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 1000;
  const depth = () => new Error().stack.split("\n").length;
  let found;
  try {
    new Function("Promise", "depth", "outcome", script)(SettledPromise, depth, (sums) => sums.then((value) => { found = value; }));
    const [sum, after] = found;
    assert.equal(sum, 1 + 2 * (5_000 * 4_999 / 2) + 3);
    assert.ok(after < depth() + 20, `${after} and ${depth()}`);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
});

test("a helper of esbuild that has another form is not left in silence", () => {
  for (const helper of ["var __async = (body) => {\n  body();\n};", "var __async2 = run;", "var __await = class {\n};", "var __asyncOther = 1;"]) {
    assert.throws(() => withOwnAsync(`${helper}\n\n// agent.js\nx();\n`), /esbuild writes a helper .*: var __a/);
  }
  const own = "var __esm = 1;\n\n// agent.js\nvar __async = () => {\n  x();\n};\n";
  assert.equal(withOwnAsync(own), own, "what the author calls so");
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
  for (const words of [[], ["build"], ["pack", "x"], ["build", "--wrong"], ["bundle", "x", "--engine", "quickjs"]]) {
    const { code, err } = await command(...words);
    assert.equal(code, 1);
    assert.match(err, /^error: /);
  }
});

test("the engine that the host brings is built from these sources", async () => {
  const known = await readFile(here("../../../host/script/engine/javascript.wasm.sources"), "utf8");
  assert.equal(await digestOfSources(), known.trim(), "run: node tools/engine.js ../../host/script/engine/javascript.wasm");
});

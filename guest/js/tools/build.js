// From the entry of an agent to a component, and to a single script.
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { placeIn } from "../src/frames.js";
import { BuildError } from "./build-error.js";
import { bundle } from "./bundle.js";
import { engineOf } from "./engines.js";
import { lineTable } from "./frames.js";
import { PACKAGE, optionalExports, worldOf, writeWorld } from "./world.js";

/** The modules that a build begins with: they are no files of the author. */
const OWN_ENTRIES = ["daca-entry.js", "daca-described.js"];
const NO_AGENT = "the default export is no agent: write `export default agent(MyClass)`";

/** The SDK's own files, whose lines are no use to an author. */
const SOURCES = join(PACKAGE, "src");

/** Runs `call` for an entry, and makes esbuild's errors one text of `file:line:column: message`. */
async function told(entry, call) {
  await checkIsFile(entry);
  try {
    return await call();
  } catch (e) {
    if (!Array.isArray(e?.errors)) throw e;
    throw new BuildError(e.errors.map((error) => faultOf(entry, error)).join("\n"));
  }
}

async function checkIsFile(entry) {
  const found = await stat(entry).catch(() => undefined);
  if (!found) throw new BuildError(`${shownPath(entry)}: there is no such file`);
  if (!found.isFile()) throw new BuildError(`${shownPath(entry)}: it is no file: name the module of the agent`);
}

/** The path of a file as esbuild writes it: from here. */
const shownPath = (file) => relative(process.cwd(), file) || ".";

/** What is wrong, in a file of the author. */
function faultOf(entry, { location, text }) {
  if (!location) return `${shownPath(entry)}: ${text}`;
  // It imports nothing but the SDK and the entry, of which it needs the default export.
  if (OWN_ENTRIES.includes(location.file)) {
    return `${shownPath(entry)}: ${/import "default"/.test(text) ? NO_AGENT : text}`;
  }
  const place = `${location.file}:${location.line}:${location.column + 1}`;
  const [, name] = /^Could not resolve "(.+)"$/.exec(text) ?? [];
  if (name === undefined || /^[./#]/.test(name)) return `${place}: ${text}`;
  if (isBuiltin(name)) return `${place}: ${needsNode(name)}`;
  const [, installed] = /^((?:@[^/]+\/)?[^/]+)/.exec(name);
  return `${place}: ${text}: is it installed? npm install ${installed}`;
}

const needsNode = (name) =>
  `"${name}" is a module of Node, which an agent does not have: ` +
  "use what @daca/sdk has instead, such as bindings and config, or a package for browsers";

/** What the outputs import of outside. */
const importsOf = ({ outputs }) => Object.values(outputs)
  .flatMap(({ imports = [] }) => imports.filter(({ external }) => external).map(({ path }) => path));

/** The text of the one output whose path ends so. */
const outputOf = ({ outputFiles }, end) => outputFiles.find(({ path }) => path.endsWith(end)).text;

/** The module for Node: that of the author, and what runs a call as a turn of it. */
const describing = (entry) => `export * as module from ${JSON.stringify(entry)};\nexport { within } from "@daca/sdk/turn";\n`;

/** What the class has, by loading the module as a test does: the SDK's host is then the one for tests. */
async function described(entry, folder, engine) {
  const name = "described.mjs";
  const stdin = { contents: describing(entry), loader: "js", resolveDir: process.cwd(), sourcefile: "daca-described.js" };
  const result = await told(entry, () => build({
    bundle: true, stdin, format: "esm", logLevel: "silent", platform: "node", plugins: [own(engine)],
    // It is written elsewhere, but the sources in its map are named from here.
    outfile: join(process.cwd(), name),
    banner: { js: "import { createRequire as __daca } from 'node:module'; const require = __daca(import.meta.url);" },
    sourcemap: "external", sourcesContent: false, write: false,
  }));
  const [script, map] = [outputOf(result, ".mjs"), outputOf(result, ".map")];
  const out = join(folder, name);
  await writeFile(out, script);
  const refused = (what, thrown) => {
    const place = authorsPlace(thrown, lineTable(script, map, process.cwd(), SOURCES)) ?? entry;
    return new BuildError(`${place}: ${what}: ${thrown?.message ?? thrown}`);
  };
  const { module, within } = await import(pathToFileURL(out).href).catch((e) => {
    throw refused("it throws while it is loaded", e);
  });
  const definition = module.default;
  if (!definition?.Class) {
    throw new BuildError(`${entry}: ${NO_AGENT}`);
  }
  const fault = await faultOfInstance(definition, within);
  if (fault) throw refused("the class cannot be made", fault.reason);
  return definition;
}

/** Why the class cannot be made, as `{ reason }`. Nothing is said of one that asks the host for something. */
async function faultOfInstance({ Class }, within) {
  const turn = turnWithoutHost();
  const fault = await within(turn, () => { new Class(); }).then(() => turn.unheard[0], (reason) => ({ reason }));
  return turn.isAsked ? undefined : fault;
}

/** A turn while a component is built: it has a log, which is dropped, and no host. */
function turnWithoutHost() {
  const known = { isAsked: false, log() {}, now: Date.now(), unheard: [] };
  return new Proxy(known, {
    get(_, name) {
      if (name in known) return known[name];
      known.isAsked = true;
      throw { tag: "unavailable", val: "there is no host while a component is built" };
    },
  });
}

/** The first place of the author's files in the stack of what the module for Node threw. */
function authorsPlace(thrown, table) {
  const places = [...String(thrown?.stack).matchAll(/described\.mjs:(\d+):(\d+)/g)];
  return places.map(([, line, column]) => placeIn(table, Number(line), Number(column))).find((place) => place);
}

/** `@daca/sdk` is this package, wherever the entry lies, with the parts that an engine needs. */
const own = ({ files }) => ({
  name: "daca-sdk",
  setup(build) {
    build.onResolve({ filter: /^(@daca\/sdk(\/|$)|#host\/)/ }, ({ path, importer }) => {
      const file = files[path] && join(PACKAGE, files[path]);
      // What stands before an interface of the host imports that itself.
      return file && file !== importer ? { path: file, sideEffects: !path.startsWith("#host/") } : undefined;
    });
  },
});

const IDENTIFIERS = { "lifecycle": "lifecycle", "on-reminder": "onReminder", "on-timer": "onTimer", "on-effect-failed": "onEffectFailed", "migration": "migration" };

/** The module that a component begins with. */
function entryModule(entry, hooks, { first, last }) {
  const names = ["actor", ...optionalExports(hooks).map((name) => IDENTIFIERS[name])];
  return [
    ...first.map((name) => `import ${JSON.stringify(name)};`),
    'import { exportsOf } from "@daca/sdk/component";',
    `import definition from ${JSON.stringify(entry)};`,
    "const made = exportsOf(() => definition);",
    ...names.map((name) => `export const ${name} = made.${name};`),
    ...last,
  ].join("\n");
}

/** The bundle of a component whose class has these hooks: its text, its source map, and the interfaces that it imports. */
async function bundled(entry, hooks, engine) {
  const stdin = { contents: entryModule(resolve(entry), hooks, engine), loader: "js", resolveDir: process.cwd(), sourcefile: "daca-entry.js" };
  const result = await told(entry, () => bundle({
    stdin, outfile: join(process.cwd(), "agent.js"), sourcemap: "external", sourcesContent: false, plugins: [own(engine)],
    conditions: engine.conditions,
  }));
  const foreign = importsOf(result.metafile).filter((path) => !/^(daca|wasi):/.test(path));
  if (foreign.length > 0) {
    throw new BuildError(`${shownPath(entry)}: ${foreign.join(", ")} is not available in an agent`);
  }
  const script = outputOf(result, ".js").replace(/\n?\/\/# sourceMappingURL=.*\n?$/, "");
  return { script: engine.finish(script), map: outputOf(result, ".map"), imports: importsOf(result.metafile) };
}

/** Builds a component with an engine, `quickjs` or `starlingmonkey`. Returns its bytes. */
export async function buildComponent(entry, { engine: name = "quickjs" } = {}) {
  const engine = engineOf(name);
  const absolute = resolve(entry);
  const folder = await mkdtemp(join(tmpdir(), "daca-js-"));
  try {
    // What needs Node is refused before the module runs in it.
    await bundled(absolute, [], engine);
    const { hooks } = await described(absolute, folder, engine);
    const { script, map, imports } = await bundled(absolute, hooks, engine);
    const { files, lines } = lineTable(script, map, process.cwd(), SOURCES, engine.width);
    // The way up from the folder of the build is no use where a stack is read.
    const table = { files: files.map((file) => file.replace(/^(\.\.\/)+/, "")), lines };
    const jsSource = `globalThis.__dacaLines = ${JSON.stringify(table)};\n${script}\n`;
    const witPath = await writeWorld(folder, worldOf([...new Set(imports)].sort(), hooks));
    const { component } = await engine.componentize({ jsSource, witPath, world: "agent" }).catch((e) => {
      throw e instanceof BuildError ? e : new BuildError(engine.fault(String(e?.message ?? e), entry, table));
    });
    return component;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Makes one script of an entry and all that it imports but the SDK, for `component = "agent.js"`. */
export async function bundleScript(entry) {
  const external = { name: "sdk", setup: (build) => build.onResolve({ filter: /^@daca\/sdk$/ }, ({ path }) => ({ path, external: true })) };
  // The host makes generators of async functions itself, and refuses an `await` outside of them.
  const supported = { "top-level-await": false };
  const entryPoints = [resolve(entry)];
  const result = await told(entry, () => bundle({ entryPoints, plugins: [external], supported }));
  return result.outputFiles[0].text;
}


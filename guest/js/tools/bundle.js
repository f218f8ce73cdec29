// One file of an agent and the SDK, which the engines take: TypeScript without its types, async functions as
// generators (in a script the host makes them), the host's interfaces as imports.
import { build } from "esbuild";

/** The interface of the contract behind each `#host/` module of the SDK. */
export const INTERFACES = {
  actors: "daca:agent/actors@0.1.0",
  bindings: "daca:agent/bindings@0.1.0",
  config: "wasi:config/store@0.2.0-rc.1",
  effects: "daca:agent/effects@0.1.0",
  identity: "daca:agent/identity@0.1.0",
  logging: "wasi:logging/logging@0.1.0-draft",
  pubsub: "daca:agent/pubsub@0.1.0",
  random: "wasi:random/random@0.2.6",
  reminders: "daca:agent/reminders@0.1.0",
  secrets: "daca:agent/secrets@0.1.0",
  state: "daca:agent/state@0.1.0",
  timers: "daca:agent/timers@0.1.0",
};

const host = {
  name: "host",
  setup(build) {
    build.onResolve({ filter: /^#host\// }, ({ path }) => ({
      path: INTERFACES[path.slice("#host/".length)],
      external: true,
      sideEffects: false,
    }));
    build.onResolve({ filter: /^(daca|wasi):/ }, ({ path }) => ({ path, external: true, sideEffects: false }));
  },
};

/** Bundles an entry. Throws esbuild's errors, which name file and line. */
export async function bundle({ plugins = [], conditions = [], ...options }) {
  return build({
    bundle: true,
    charset: "utf8",
    format: "esm",
    logLevel: "silent",
    platform: "neutral",
    mainFields: ["browser", "module", "main"],
    // What is made for browsers needs no Node.
    conditions: [...conditions, "browser", "import", "module", "default"],
    plugins: [...plugins, host],
    supported: { "async-await": false, "async-generator": false, "for-await": false },
    target: "es2022",
    write: false,
    metafile: true,
    ...options,
  });
}

// The engine that the host brings: an agent is its script, which is evaluated once in each activation.
import { babelHelpers } from "../src/globals/index.js";
import * as sdk from "../src/index.js";
import { textOf } from "../src/agent.js";
import { exportsOf, tryInstance } from "../src/component.js";
import { lineIn, writeStacks } from "../src/frames.js";
import * as source from "daca:script/source@0.1.0";

/** What the engine calls the text of `new Function`. */
const TEXT = "<input>";
/** The lines before the script: those that `new Function` puts before its body, and one of ours. */
let header = 0;
let script;
let definition;

function load() {
  if (definition) return definition;
  script = source.read();
  const exported = {};
  const run = new Function("__daca_sdk", "__daca_exported", "babelHelpers", `"use strict";\n${script.body}`);
  run(sdk, exported, babelHelpers);
  if (!exported.agent?.Class) {
    throw new TypeError("the script's default export is no agent: write `export default agent(MyClass)`");
  }
  definition = exported.agent;
  return definition;
}

/** Where that is in the author's file. A line of the engine is no use to its author. */
function placeOf(file, line, column) {
  const found = file === TEXT && script && lineIn(script, line - header, column);
  return found ? `${script.file}:${found}` : undefined;
}

// The stack is made once without the author's lines, to see in which line a body begins.
Error.prepareStackTrace = (_, [site]) => site.getLineNumber();
header = new Function("__daca_sdk", "__daca_exported", "babelHelpers", `"use strict";\nreturn new Error().stack`)() - 1;
writeStacks(placeOf);

const made = exportsOf(load);
export const actor = made.actor;
export const lifecycle = made.lifecycle;
export const onReminder = made.onReminder;
export const onTimer = made.onTimer;
export const onEffectFailed = made.onEffectFailed;
export const migration = made.migration;
export const description = {
  describe() {
    try {
      const { methods, hooks, schema } = load();
      tryInstance(definition);
      return { methods, hooks, schema: schema ?? null };
    } catch (thrown) {
      throw `while it is evaluated: ${textOf(thrown)}`;
    }
  },
};

// What the tool that made this component has left: none of it is meant for an agent.
delete globalThis.__cqjs;
delete globalThis.wit;

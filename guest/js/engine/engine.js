// The engine that the host brings: an agent is its script, which is evaluated once in each activation.
import { babelHelpers } from "../src/globals/index.js";
import * as sdk from "../src/index.js";
import { failureOf } from "../src/agent.js";
import { exportsOf } from "../src/component.js";
import * as source from "daca:script/source@0.1.0";

const PLACE = /<(?:anonymous|input)>:(\d+)(?::\d+)?/;
/** The lines that `new Function` puts before its body. */
const HEADER = Number(PLACE.exec(new Function("return new Error().stack")())?.[1] ?? 1) - 1;
let script;
let definition;

function load() {
  if (definition) return definition;
  script = source.read();
  const exported = {};
  const run = new Function("__daca_sdk", "__daca_exported", "babelHelpers", `"use strict";${script.body}`);
  run(sdk, exported, babelHelpers);
  if (!exported.agent?.Class) {
    throw new TypeError("the script's default export is no agent: write `export default agent(MyClass)`");
  }
  definition = exported.agent;
  return definition;
}

/** The frames of the script, with the author's file and lines; those of the engine are no use to its author. */
function frames(stack) {
  return stack
    .split("\n")
    .map((frame) => {
      const line = script?.lines[Number(PLACE.exec(frame)?.[1]) - HEADER - 1];
      // By a function, since a text's `$` would have a meaning.
      return line ? frame.replace(PLACE, () => `${script.file}:${line}`).replace("at <anonymous> (", "at (") : undefined;
    })
    .filter((frame) => frame !== undefined)
    .join("\n");
}

const made = exportsOf(load, frames);
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
      return { methods, hooks, schema: schema ?? null };
    } catch (thrown) {
      throw `while it is evaluated: ${failureOf(thrown, frames).val}`;
    }
  },
};

// What the tool that made this component has left: none of it is meant for an agent.
delete globalThis.__cqjs;
delete globalThis.wit;

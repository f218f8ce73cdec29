// The engine that the host brings: an agent is its script, which is evaluated once in each activation.
import { asyncRun } from "../src/globals/index.js";
import * as sdk from "../src/index.js";
import { exportsOf } from "../src/component.js";
import * as source from "daca:script/source@0.1.0";

/** The lines that `new Function` puts before its body. */
const HEADER = headerLines();
let definition;

function load() {
  if (definition) return definition;
  const evaluate = new Function("sdk", "asyncRun", source.read());
  definition = evaluate(sdk, asyncRun);
  if (!definition?.Class) throw new TypeError("the script's default export is no agent: write `export default agent(MyClass)`");
  return definition;
}

function headerLines() {
  const line = /<(?:anonymous|input)>:(\d+)/.exec(new Function("return new Error().stack")());
  return line ? Number(line[1]) - 1 : 0;
}

/** The frames of the script, with its own lines; those of the engine are no use to its author. */
function frames(stack) {
  return stack
    .split("\n")
    .filter((line) => /<(?:anonymous|input)>:\d/.test(line))
    .map((line) => line.replace(/<(?:anonymous|input)>:(\d+)/, (_, n) => `agent:${n - HEADER}`))
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
      const stack = thrown?.stack ? `\n${frames(thrown.stack)}` : "";
      throw `${thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown)}${stack}`;
    }
  },
};

// The declarations fit the agents that use them, and have no mistakes of their own.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import ts from "typescript";

/** What the type checker says of files. */
function told(names, more) {
  const program = ts.createProgram(names.map((name) => fileURLToPath(new URL(name, import.meta.url))), {
    baseUrl: fileURLToPath(new URL("..", import.meta.url)),
    lib: ["lib.es2022.d.ts", "lib.dom.d.ts"],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    noEmit: true,
    paths: { "@daca/sdk": ["./src/index.d.ts"], "@daca/sdk/testing": ["./src/testing.d.ts"] },
    strict: true,
    target: ts.ScriptTarget.ES2022,
    types: [],
    ...more,
  });
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, "\n");
    return file ? `${file.fileName}:${file.getLineAndCharacterOfPosition(start).line + 1}: ${text}` : text;
  });
}

test("agents in TypeScript pass the type checker", () => {
  const agents = ["build/packages.ts", "../../chat-agents/typescript/chat_agent.ts", "../../../tests/conformance/agents/typescript/agent.ts"];
  assert.deepEqual(told(agents, { skipLibCheck: true }), []);
});

test("an agent has the globals of its engine, and neither those of browsers nor of Node", async () => {
  const files = ["types/globals.ts", "../src/globals.d.ts"];
  assert.deepEqual(told(files, { lib: ["lib.es2023.d.ts"] }), []);
  const [declared, made] = await Promise.all(["../src/globals.d.ts", "../src/globals/index.js"].map((name) =>
    readFile(new URL(name, import.meta.url), "utf8")));
  const names = [...declared.matchAll(/^declare (?:var|class|function) (\w+)/gm)].map(([, name]) => name);
  const given = /Object\.assign\(globalThis, \{([^}]*)\}/.exec(made)[1].matchAll(/^  (\w+)/gm);
  const expected = [...given].map(([, name]) => name).filter((name) => name !== "Promise");
  assert.deepEqual(names.sort(), [...expected, "TextDecoder", "TextEncoder", "queueMicrotask"].sort());
});

test("values have the types that the declarations say", () => {
  // Not of the declarations of packages: these are the SDK's own.
  const files = ["types/usage.ts", "../src/index.d.ts", "../src/testing.d.ts"];
  assert.deepEqual(told(files, { skipDefaultLibCheck: true }), []);
});

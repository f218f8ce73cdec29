// The declarations fit the agents that use them, and have no mistakes of their own.
import assert from "node:assert/strict";
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

test("values have the types that the declarations say", () => {
  // Not of the declarations of packages: these are the SDK's own.
  const files = ["types/usage.ts", "../src/index.d.ts", "../src/testing.d.ts"];
  assert.deepEqual(told(files, { skipDefaultLibCheck: true }), []);
});

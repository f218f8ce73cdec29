// The declarations fit the agents that use them.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import ts from "typescript";

test("agents in TypeScript pass the type checker", () => {
  const files = ["build/packages.ts", "../../chat-agents/typescript/chat_agent.ts", "../../../tests/conformance/agents/typescript/agent.ts"].map((name) => fileURLToPath(new URL(name, import.meta.url)));
  const program = ts.createProgram(files, {
    baseUrl: fileURLToPath(new URL("..", import.meta.url)),
    lib: ["lib.es2022.d.ts", "lib.dom.d.ts"],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    noEmit: true,
    paths: { "@daca/sdk": ["./src/index.d.ts"] },
    skipLibCheck: true,
    strict: true,
    target: ts.ScriptTarget.ES2022,
    types: [],
  });
  const told = ts.getPreEmitDiagnostics(program).map((d) => ts.flattenDiagnosticMessageText(d.messageText, "\n"));
  assert.deepEqual(told, []);
});

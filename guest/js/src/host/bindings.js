import { turn } from "./turn.js";

export const invoke = (name, operation, data, metadata) => turn().invokeBinding(name, operation, data, metadata);
export const send = (binding, operation, data, metadata) =>
  turn().stage({ kind: "send", binding, operation, bytes: data, metadata: Object.fromEntries(metadata) });

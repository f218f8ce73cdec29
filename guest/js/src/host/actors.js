import { turn } from "./turn.js";

export const invoke = (type, id, method, payload) => turn().invokeActor(type, id, method, payload);

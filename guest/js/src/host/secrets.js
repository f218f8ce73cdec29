import { turn } from "./turn.js";

export const get = (name) => turn().secret(name);

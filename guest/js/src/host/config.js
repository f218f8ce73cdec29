import { turn } from "./turn.js";

export const get = (key) => turn().setting(key);
export const getAll = () => turn().settings();

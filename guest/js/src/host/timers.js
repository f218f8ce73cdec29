import { turn } from "./turn.js";

export const register = (name, schedule, data) => turn().register("timer", name, schedule, data);
export const unregister = (name) => turn().unregister("timer", name);
export const get = (name) => turn().registered("timer", name);

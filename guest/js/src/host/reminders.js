import { turn } from "./turn.js";

export const register = (name, schedule, data) => turn().register("reminder", name, schedule, data);
export const unregister = (name) => turn().unregister("reminder", name);
export const get = (name) => turn().registered("reminder", name);

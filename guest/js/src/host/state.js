import { turn } from "./turn.js";

const remove = (key) => turn().delete(key);

export const get = (key) => turn().get(key);
export const getMany = (keys) => keys.map((key) => turn().get(key));
export const set = (key, value, ttl) => turn().set(key, value, ttl);
export { remove as delete };

import * as host from "#host/state";
import { own } from "../values.js";

const remove = (key) => host["delete"](key);

export const get = (key) => own(host.get(key));
export const getMany = (keys) => own(host.getMany(keys));
export const set = (...values) => host.set(...values);
export { remove as delete };

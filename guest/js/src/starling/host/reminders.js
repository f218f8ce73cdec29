import * as host from "#host/reminders";
import { own } from "../values.js";

export const register = (...values) => host.register(...values);
export const unregister = (name) => host.unregister(name);
export const get = (name) => own(host.get(name));

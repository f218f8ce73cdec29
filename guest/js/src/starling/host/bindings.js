import * as host from "#host/bindings";
import { own } from "../values.js";

export const invoke = (...values) => own(host.invoke(...values));
export const send = (...values) => host.send(...values);

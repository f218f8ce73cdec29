import * as host from "#host/actors";
import { own } from "../values.js";

export const invoke = (...values) => own(host.invoke(...values));

// The globals that other modules use while they are evaluated: they must exist first.
import { TextDecoder, TextEncoder } from "./text.js";

Object.assign(globalThis, { TextDecoder, TextEncoder });

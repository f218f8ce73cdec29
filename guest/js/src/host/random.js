import { randomBytes } from "node:crypto";

export const getRandomBytes = (count) => new Uint8Array(randomBytes(count));

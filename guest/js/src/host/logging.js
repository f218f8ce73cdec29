import { turn } from "./turn.js";

export const log = (level, _context, message) => turn().log(level, message);

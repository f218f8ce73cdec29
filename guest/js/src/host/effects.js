import { turn } from "./turn.js";

export const logOutcome = (effect, delivered, undeliverable) => turn().logOutcome(effect, delivered, undeliverable);

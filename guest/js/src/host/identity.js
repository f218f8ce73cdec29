import { turn } from "./turn.js";

export const agentType = () => turn().agentType;
export const actorId = () => turn().actorId;
export const turnId = () => turn().id;

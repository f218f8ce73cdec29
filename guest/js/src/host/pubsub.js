import { turn } from "./turn.js";

export const publish = (pubsub, topic, event) => turn().stage({ kind: "publish", pubsub, topic, bytes: event });

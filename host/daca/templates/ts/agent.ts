// An agent that is a script: one conversation for each actor. The host takes this file as it is, and takes it anew on
// every save while `daca dev` runs.
//
// A call is one turn: state, events and reminders take effect together when the method returns, and not at all when it
// throws. Only `state` lasts.
import { actorId, agent, Invalid, log, publish, reminders, state } from "@daca/sdk";

/** The messages of a conversation that are kept. */
const KEPT = 10;
/** A conversation is forgotten when nobody has said anything for this time, in milliseconds. */
const FORGOTTEN_AFTER = 24 * 60 * 60 * 1000;

interface Message {
  role: string;
  content: string;
}

class AgentName {
  /** Answers a message, and keeps both. */
  Say(message: unknown): Message {
    const said: Message = { role: "user", content: contentOf(message) };
    const answer: Message = { role: "assistant", content: `Got your message: ${said.content}` };
    state.set("history", [...this.History(), said, answer].slice(-KEPT));
    publish("pubsub/chat", { id: actorId(), said, answer });
    reminders.register("forget", { due: FORGOTTEN_AFTER });
    return answer;
  }

  /** The kept messages, oldest first. */
  History(): Message[] {
    return state.get<Message[]>("history", []);
  }

  onReminder(name: string) {
    log.info(`${name}: nobody has said anything for a day`);
    state.delete("history");
  }
}

function contentOf(message: unknown): string {
  const content = (message as Partial<Message> | null | undefined)?.content;
  if (typeof content !== "string" || content === "") throw new Invalid("the message has no content");
  return content;
}

export default agent(AgentName);

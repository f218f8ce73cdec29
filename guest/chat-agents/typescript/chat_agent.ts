// The ChatAgent: keeps the last messages of a conversation, publishes each exchange, and sends it as an SMS.
//
// It behaves like the Rust agent in `guest/chat-agent`, with the same names and texts.
import { actorId, agent, bindings, config, HostError, Invalid, log, publish, state } from "@daca/sdk";

const TOPIC = "daca-pubsub/user-chat";
const SMS_BINDING = "twilio-binding";
/** The recipient of the SMS when the setting `to-number` is missing. */
const DEFAULT_NUMBER = "+1987654321";
/** The number of messages of a conversation that are kept. */
const KEPT = 5;
/** The bytes of a message as JSON: the kept ones fit into one state value (1 MiB). */
const MAX_MESSAGE = 128 * 1024;

interface Message {
  role: string;
  content: string;
}

class ChatAgent {
  id = "";
  historyKey = "";
  toNumber = "";

  activate() {
    this.id = actorId();
    this.historyKey = `history-${this.id}`;
    this.toNumber = config.get("to-number", DEFAULT_NUMBER);

    const key = this.historyKey;
    log.info(`Activating actor for ${key}`);
    try {
      const history = state.getBytes(key);
      if (history === undefined) {
        log.info(`State not found for ${key}, initializing`);
        state.set(key, []);
      } else {
        log.info(`State found for ${key}: ${text(history)}`);
      }
    } catch (e) {
      // Nothing is written here: a failed read must not erase a history.
      log.warn(`Non-critical error in _on_activate: ${e}`);
    }
  }

  /** Answers a message `{role, content}` and keeps both. */
  ProcessMessage(_message: unknown, payload?: Uint8Array): Message {
    const input = checked(payload ?? new Uint8Array());
    const key = this.historyKey;
    log.info(`Processing message for ${key}: ${JSON.stringify(input)}`);
    const output: Message = { role: "assistant", content: `Got your message: ${input.content}` };
    try {
      state.set(key, [...this.history(), input, output].slice(-KEPT));
    } catch (e) {
      log.error(`Error processing message for ${key}: ${e}`);
      // The caller's message is too large, and a retry would not change that.
      if (e instanceof HostError && e.code === "too-large") throw new Invalid(`The message cannot be kept: ${e.message}`);
      throw e;
    }
    log.info(`Processed message for ${key}: ${input.content}`);
    this.publish(input, output);
    this.sendSms(input.content, output.content);
    return output;
  }

  /** The kept messages, oldest first. */
  GetConversationHistory(): unknown[] {
    return this.history();
  }

  /** The stored history. Anything but a list counts as empty. */
  private history(): unknown[] {
    const bytes = state.getBytes(this.historyKey);
    if (bytes === undefined) return [];
    try {
      const stored = parsed(bytes);
      return Array.isArray(stored) ? stored : [];
    } catch (e) {
      log.warn(`The state under ${this.historyKey} is not JSON, starting anew: ${e}`);
      return [];
    }
  }

  /** Stages the event. The conversation continues if that fails. */
  private publish(input: Message, output: Message) {
    const key = this.historyKey;
    const event = { actor_id: this.id, history_key: key, actor_type: "ChatAgent", event_type: "ConversationUpdated", input, output };
    try {
      publish(TOPIC, event).logOutcome(`Published event for ${key}: ${JSON.stringify(event)}`, "Failed to publish event");
    } catch (e) {
      log.error(`Failed to publish event: ${e}`);
    }
  }

  /** Stages the SMS, unless the setting `to-number` is empty. The conversation continues if that fails. */
  private sendSms(content: string, answer: string) {
    const { toNumber } = this;
    if (toNumber === "") return;
    const body = `New message from ${this.id}: ${content} -> ${answer}`;
    try {
      bindings
        .send(SMS_BINDING, "create", body, { toNumber })
        .logOutcome(`Sent SMS for ${this.historyKey}: ${JSON.stringify({ toNumber, body })}`, "Failed to send SMS");
    } catch (e) {
      log.error(`Failed to send SMS: ${e}`);
    }
  }
}

/** A valid message, with all fields that the caller gave it. */
function checked(payload: Uint8Array): Message {
  const bytes = payload.length;
  if (bytes > MAX_MESSAGE) throw new Invalid(`The message has ${bytes} bytes; ${MAX_MESSAGE} are the most`);
  const message = bytes > 0 ? parsed(payload) : null;
  const fields = (typeof message === "object" && message !== null ? message : {}) as Partial<Message>;
  if (typeof fields.content !== "string" || fields.content === "") throw new Invalid("Invalid or missing 'content' field");
  if (typeof fields.role !== "string") throw new Invalid("Invalid or missing 'role' field");
  return fields as Message;
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** The value of JSON. Its numbers are passed on as they were written: JavaScript would round long ones. */
const parsed = (bytes: Uint8Array): unknown => JSON.parse(text(bytes), asWritten);

function asWritten(_key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  if (typeof value !== "number" || source === undefined || source === String(value)) return value;
  // Of ES2026, and so not yet in TypeScript's declarations.
  return (JSON as typeof JSON & { rawJSON(json: string): object }).rawJSON(source);
}

export default agent(ChatAgent);

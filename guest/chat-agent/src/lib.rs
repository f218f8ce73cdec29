//! The ChatAgent: keeps the last messages of a conversation, publishes each exchange, and sends it as an SMS.
//!
//! It behaves like the Python `ChatAgent` of DACA's step 5, with the same names and texts. Messages are kept and passed
//! on as JSON, so that unknown fields are preserved.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use daca_sdk::{Error, Failure, agent, bindings, config, identity, log, pubsub, state};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::{RawValue, to_raw_value};

const PUBSUB: &str = "daca-pubsub";
const TOPIC: &str = "user-chat";
const SMS_BINDING: &str = "twilio-binding";
/// The recipient of the SMS when the setting `to-number` is missing.
const DEFAULT_NUMBER: &str = "+1987654321";
/// The number of messages of a conversation that are kept.
const KEPT: usize = 5;
/// The bytes of a message as JSON. The kept ones fit into one state value (1 MiB), and a message of the largest body of
/// the host (4 MiB) is refused before its copies fill the memory (16 MiB). An SMS has 1,600 characters.
const MAX_MESSAGE: usize = 128 * 1024;

/// One conversation. Everything in memory is derived from the actor's id and the agent type's settings.
#[derive(Default)]
struct ChatAgent {
    id: String,
    history_key: String,
    to_number: String,
}

#[agent]
impl ChatAgent {
    #[activate]
    fn activate(&mut self) -> Result<(), Failure> {
        self.id = identity::actor_id();
        self.history_key = format!("history-{}", self.id);
        self.to_number = to_number();

        let key = &self.history_key;
        log::info!("Activating actor for {key}");
        if let Err(e) = self.initialise() {
            // Nothing is written here: a failed read must not erase a history.
            log::warn!("Non-critical error in _on_activate: {e}");
        }
        Ok(())
    }

    /// Answers a message `{role, content}` and keeps both.
    pub fn process_message(&mut self, message: Box<RawValue>) -> Result<Box<RawValue>, Failure> {
        let content = checked_content(&message)?;
        self.exchange(&message, &content).map_err(|e| {
            log::error!("Error processing message for {}: {e}", self.history_key);
            match e {
                // The caller's message is too large, and a retry would not change that.
                Error::TooLarge(_) => Failure::invalid(format!("The message cannot be kept: {e}")),
                _ => e.into(),
            }
        })
    }

    /// The kept messages, oldest first.
    pub fn get_conversation_history(&self) -> Result<Box<RawValue>, Failure> {
        let stored = state::get_bytes(&self.history_key)
            .inspect_err(|e| log::error!("Error getting history for {}: {e}", self.history_key))?;
        let history = stored.and_then(|bytes| serde_json::from_slice::<Box<RawValue>>(&bytes).ok());
        Ok(history.filter(|history| history.get().starts_with('[')).unwrap_or_else(empty_list))
    }

    fn initialise(&self) -> Result<(), Error> {
        let key = &self.history_key;
        match state::get_bytes(key)? {
            Some(history) => log::info!("State found for {key}: {}", String::from_utf8_lossy(&history)),
            None => {
                log::info!("State not found for {key}, initializing");
                state::set_bytes(key, b"[]")?;
            }
        }
        Ok(())
    }

    fn exchange(&self, input: &RawValue, content: &str) -> Result<Box<RawValue>, Error> {
        let key = &self.history_key;
        log::info!("Processing message for {key}: {input}");

        let answer = format!("Got your message: {content}");
        let output = raw(&Message { role: "assistant", content: &answer })?;

        let stored = state::get_bytes(key)?;
        let mut history = stored.as_deref().map_or_else(Vec::new, |bytes| messages(key, bytes));
        history.extend([input, &*output]);
        state::set(key, &history[history.len().saturating_sub(KEPT)..])?;
        log::info!("Processed message for {key}: {content}");

        self.publish(input, &output);
        self.send_sms(content, &answer);
        Ok(output)
    }

    /// Stages the event. The conversation continues if that fails.
    fn publish(&self, input: &RawValue, output: &RawValue) {
        let key = &self.history_key;
        let event = ConversationUpdated {
            actor_id: &self.id,
            history_key: key,
            actor_type: "ChatAgent",
            event_type: "ConversationUpdated",
            input,
            output,
        };
        let staged = raw(&event).and_then(|event| {
            let effect = pubsub::publish_bytes(PUBSUB, TOPIC, event.get().as_bytes())?;
            effect.log_outcome(&format!("Published event for {key}: {event}"), "Failed to publish event")
        });
        if let Err(e) = staged {
            log::error!("Failed to publish event: {e}");
        }
    }

    /// Stages the SMS, unless the setting `to-number` is empty. The conversation continues if that fails.
    fn send_sms(&self, content: &str, answer: &str) {
        let to_number = &*self.to_number;
        if to_number.is_empty() {
            return;
        }
        let body = format!("New message from {}: {content} -> {answer}", self.id);
        let staged =
            bindings::send(SMS_BINDING, "create", &body, &[("toNumber", to_number)]).and_then(|effect| {
                let sms = raw(&Sms { to_number, body: &body })?;
                effect.log_outcome(&format!("Sent SMS for {}: {sms}", self.history_key), "Failed to send SMS")
            });
        if let Err(e) = staged {
            log::error!("Failed to send SMS: {e}");
        }
    }
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
struct ConversationUpdated<'a> {
    actor_id: &'a str,
    history_key: &'a str,
    actor_type: &'a str,
    event_type: &'a str,
    input: &'a RawValue,
    output: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sms<'a> {
    to_number: &'a str,
    body: &'a str,
}

fn to_number() -> String {
    let setting = config::get("to-number").unwrap_or_else(|e| {
        log::warn!("The setting `to-number` cannot be read: {e}");
        None
    });
    setting.unwrap_or_else(|| DEFAULT_NUMBER.to_owned())
}

/// The content of a valid message.
fn checked_content(message: &RawValue) -> Result<String, Failure> {
    let bytes = message.get().len();
    if bytes > MAX_MESSAGE {
        return Err(Failure::invalid(format!("The message has {bytes} bytes; {MAX_MESSAGE} are the most")));
    }
    let fields = serde_json::from_str::<BTreeMap<String, &RawValue>>(message.get()).unwrap_or_default();
    let text = |name| fields.get(name).and_then(|field| serde_json::from_str::<String>(field.get()).ok());
    let content = text("content").filter(|content| !content.is_empty());
    let content = content.ok_or_else(|| Failure::invalid("Invalid or missing 'content' field"))?;
    text("role").ok_or_else(|| Failure::invalid("Invalid or missing 'role' field"))?;
    Ok(content)
}

/// The messages of a stored history, each as it was written. Anything but a list counts as empty.
fn messages<'a>(key: &str, stored: &'a [u8]) -> Vec<&'a RawValue> {
    serde_json::from_slice(stored).unwrap_or_else(|e| {
        if serde_json::from_slice::<IgnoredAny>(stored).is_err() {
            log::warn!("The state under {key} is not JSON, starting anew: {e}");
        }
        Vec::new()
    })
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, Error> {
    to_raw_value(value).map_err(|e| Error::Invalid(e.to_string()))
}

fn empty_list() -> Box<RawValue> {
    RawValue::from_string("[]".to_owned()).unwrap_or_default()
}

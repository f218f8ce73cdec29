//! The ChatAgent's logic compiled natively: line by line that of `guest/chat-agent`, on a turn that stages as the host's does.
//!
//! [`crate::turn`] checks that both give the same replies, writes and effects before it measures them.

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;

use bytes::Bytes;
use daca_model::backend::{BindingRequest, Effect, EffectRequest, StateWrite, TurnCommit};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

const PUBSUB: &str = "daca-pubsub";
const TOPIC: &str = "user-chat";
const SMS_BINDING: &str = "twilio-binding";
const TO_NUMBER: &str = "+1987654321";
const KEPT: usize = 5;

/// One conversation, with its committed state.
pub(crate) struct ChatAgent {
    id: String,
    history_key: String,
    to_number: String,
    state: HashMap<String, Bytes>,
}

/// What a turn stages.
#[derive(Default)]
struct Turn {
    commit: TurnCommit,
}

/// What a turn that ended well leaves behind.
pub(crate) struct Done {
    pub(crate) reply: Bytes,
    pub(crate) commit: TurnCommit,
}

/// A line that is written and goes nowhere, like the guest's when nobody listens.
macro_rules! log {
    ($($part:tt)*) => { black_box(format!($($part)*)); };
}

impl ChatAgent {
    /// Knows nothing yet; `history` is what the store has.
    pub(crate) fn new(id: &str, history: Option<Bytes>) -> ChatAgent {
        let history_key = format!("history-{id}");
        log!("Activating actor for {history_key}");
        let state = history.map(|history| (history_key.clone(), history)).into_iter().collect();
        ChatAgent { id: id.to_owned(), history_key, to_number: TO_NUMBER.to_owned(), state }
    }

    /// The key under which the history is kept.
    pub(crate) fn history_key(id: &str) -> String {
        format!("history-{id}")
    }

    /// Answers a message, and stages what is to be kept and sent. The error is for the caller.
    pub(crate) fn process_message(&self, payload: &[u8]) -> Result<Done, String> {
        let message: Value = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        let content = checked_content(&message)?;
        let mut turn = Turn::default();
        let output = self.exchange(&mut turn, &message, content).map_err(|error| error.to_string())?;
        let reply = Bytes::from(Box::<str>::from(output).into_string());
        Ok(Done { reply, commit: turn.commit })
    }

    /// The messages that are kept.
    pub(crate) fn history(&self) -> Bytes {
        self.state.get(&self.history_key).cloned().unwrap_or_else(|| Bytes::from_static(b"[]"))
    }

    /// Takes over what was committed.
    pub(crate) fn apply(&mut self, writes: BTreeMap<String, StateWrite>) {
        for (key, write) in writes {
            match write {
                StateWrite::Set { value, .. } => self.state.insert(key, value),
                StateWrite::Delete => self.state.remove(&key),
            };
        }
    }

    fn exchange(&self, turn: &mut Turn, message: &Value, content: &str) -> serde_json::Result<Box<RawValue>> {
        let key = &self.history_key;
        let input = to_raw_value(message)?;
        log!("Processing message for {key}: {input}");

        let answer = format!("Got your message: {content}");
        let output = to_raw_value(&Message { role: "assistant", content: &answer })?;

        let stored = self.state.get(key).cloned();
        let mut history = stored.as_deref().map_or_else(Vec::new, messages);
        history.extend([&*input, &*output]);
        let kept = serde_json::to_vec(&history[history.len().saturating_sub(KEPT)..])?;
        turn.commit.writes.insert(key.clone(), StateWrite::Set { value: kept.into(), ttl: None });
        log!("Processed message for {key}: {content}");

        self.publish(turn, &input, &output)?;
        self.send_sms(turn, content, &answer)?;
        Ok(output)
    }

    fn publish(&self, turn: &mut Turn, input: &RawValue, output: &RawValue) -> serde_json::Result<()> {
        let key = &self.history_key;
        let event = to_raw_value(&ConversationUpdated {
            actor_id: &self.id,
            history_key: key,
            actor_type: "ChatAgent",
            event_type: "ConversationUpdated",
            input,
            output,
        })?;
        let request = EffectRequest::Publish {
            pubsub: PUBSUB.to_owned(),
            topic: TOPIC.to_owned(),
            event: Bytes::copy_from_slice(event.get().as_bytes()),
        };
        let line = format!("Published event for {key}: {event}");
        turn.stage(request, line, "Failed to publish event");
        Ok(())
    }

    fn send_sms(&self, turn: &mut Turn, content: &str, answer: &str) -> serde_json::Result<()> {
        let to_number = &*self.to_number;
        if to_number.is_empty() {
            return Ok(());
        }
        let body = format!("New message from {}: {content} -> {answer}", self.id);
        let sms = to_raw_value(&Sms { to_number, body: &body })?;
        let request = EffectRequest::Send(BindingRequest {
            name: SMS_BINDING.to_owned(),
            operation: "create".to_owned(),
            data: Bytes::from(body),
            metadata: BTreeMap::from([("toNumber".to_owned(), to_number.to_owned())]),
        });
        let line = format!("Sent SMS for {}: {sms}", self.history_key);
        turn.stage(request, line, "Failed to send SMS");
        Ok(())
    }
}

impl Turn {
    fn stage(&mut self, request: EffectRequest, delivered: String, undeliverable: &str) {
        let id = Effect::id_of("turn", self.commit.effects.len());
        self.commit.effects.push(Effect {
            id,
            request,
            delivered_line: Some(delivered),
            undeliverable_line: Some(undeliverable.to_owned()),
            traceparent: None,
            after_failure: false,
        });
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

fn checked_content(message: &Value) -> Result<&str, String> {
    let text = |field| message.get(field).and_then(Value::as_str);
    let content = text("content").filter(|content| !content.is_empty());
    let content = content.ok_or("Invalid or missing 'content' field")?;
    text("role").ok_or("Invalid or missing 'role' field")?;
    Ok(content)
}

fn messages(stored: &[u8]) -> Vec<&RawValue> {
    serde_json::from_slice(stored).unwrap_or_else(|error| {
        if serde_json::from_slice::<IgnoredAny>(stored).is_err() {
            log!("The state is not JSON, starting anew: {error}");
        }
        Vec::new()
    })
}

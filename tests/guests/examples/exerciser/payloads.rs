//! The payloads of the methods.

use std::collections::BTreeMap;
use std::time::Duration;

use daca_sdk::{Effect, Error, Failure, Schedule, actors, bindings, log, pubsub, reminders, state, timers};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
pub(crate) struct Write {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) ttl_seconds: Option<u64>,
}

#[derive(Deserialize)]
pub(crate) struct Wrapped {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) lists: u32,
}

#[derive(Deserialize)]
pub(crate) struct WriteBytes {
    pub(crate) key: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Deserialize)]
pub(crate) struct Key {
    pub(crate) key: String,
}

#[derive(Deserialize)]
pub(crate) struct WriteCall {
    pub(crate) key: String,
    pub(crate) value: Option<Value>,
    pub(crate) call: Call,
}

#[derive(Deserialize)]
pub(crate) struct Keys {
    pub(crate) keys: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Name {
    pub(crate) name: String,
}

#[derive(Deserialize)]
pub(crate) struct Event {
    pub(crate) pubsub: String,
    pub(crate) topic: String,
    pub(crate) event: Value,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

#[derive(Deserialize)]
pub(crate) struct EventBytes {
    pub(crate) pubsub: String,
    pub(crate) topic: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Deserialize)]
pub(crate) struct Binding {
    pub(crate) binding: String,
    pub(crate) operation: String,
    #[serde(default)]
    pub(crate) data: String,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// What to log about an effect; nothing unless both are there.
#[derive(Deserialize)]
pub(crate) struct Outcome {
    pub(crate) delivered: Option<String>,
    pub(crate) undeliverable: Option<String>,
}

impl Outcome {
    pub(crate) fn ask(self, effect: Effect) -> Result<Value, Error> {
        let id = effect.id();
        if let (Some(delivered), Some(undeliverable)) = (self.delivered, self.undeliverable) {
            effect.log_outcome(&delivered, &undeliverable)?;
        }
        Ok(json!({ "effect": id }))
    }
}

#[derive(Clone, Deserialize)]
pub(crate) struct Call {
    #[serde(rename = "type")]
    pub(crate) agent_type: String,
    pub(crate) id: String,
    pub(crate) method: String,
    #[serde(default)]
    pub(crate) payload: Value,
}

impl Call {
    pub(crate) fn make(self) -> Result<Value, Error> {
        actors::invoke(&self.agent_type, &self.id, &self.method, &self.payload)
    }
}

/// A call whose reply is `null` until a test wants the turn to end.
#[derive(Deserialize)]
pub(crate) struct Awaited {
    pub(crate) call: Call,
    pub(crate) then_fail: Option<Fail>,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Wake {
    pub(crate) name: String,
    pub(crate) due_ms: u64,
    pub(crate) period_ms: Option<u64>,
    pub(crate) ttl_ms: Option<u64>,
    #[serde(default)]
    pub(crate) data: Value,
}

impl Wake {
    pub(crate) fn new(name: String, schedule: Schedule, data: Value) -> Self {
        let ms = |duration: Duration| duration.as_millis() as u64;
        let (due_ms, period_ms, ttl_ms) =
            (ms(schedule.due()), schedule.period().map(ms), schedule.ttl().map(ms));
        Self { name, due_ms, period_ms, ttl_ms, data }
    }

    pub(crate) fn schedule(&self) -> Schedule {
        let mut schedule = Schedule::after(Duration::from_millis(self.due_ms));
        if let Some(period) = self.period_ms {
            schedule = schedule.every(Duration::from_millis(period));
        }
        if let Some(ttl) = self.ttl_ms {
            schedule = schedule.for_at_most(Duration::from_millis(ttl));
        }
        schedule
    }
}

/// A turn that does everything, and most often does not end well. The names are those of the ChatAgent's manifest unless others are given.
#[derive(Deserialize)]
pub(crate) struct Doomed {
    pub(crate) key: String,
    pub(crate) value: Value,
    #[serde(default)]
    pub(crate) fault: Fault,
    #[serde(default = "default_pubsub")]
    pub(crate) pubsub: String,
    #[serde(default = "default_topic")]
    pub(crate) topic: String,
    #[serde(default = "default_binding")]
    pub(crate) binding: String,
    #[serde(default = "default_operation")]
    pub(crate) operation: String,
}

impl Doomed {
    /// A key, an event, a sent binding, and a reminder and a timer, both with the name `doomed`.
    pub(crate) fn stage(&self) -> Result<(), Error> {
        state::set(&self.key, &self.value)?;
        pubsub::publish(&self.pubsub, &self.topic, &self.value)?;
        bindings::send(&self.binding, &self.operation, "doomed", &[])?;
        reminders::register("doomed", Schedule::after(Duration::ZERO), &self.value)?;
        timers::register("doomed", Schedule::after(Duration::ZERO), &self.value)
    }
}

fn default_pubsub() -> String {
    "daca-pubsub".to_owned()
}

fn default_topic() -> String {
    "user-chat".to_owned()
}

fn default_binding() -> String {
    "twilio-binding".to_owned()
}

fn default_operation() -> String {
    "create".to_owned()
}

#[derive(Deserialize)]
pub(crate) struct Fail {
    pub(crate) fault: Fault,
    #[serde(default)]
    pub(crate) message: String,
}

impl Fail {
    pub(crate) fn failure(self) -> Failure {
        match self.fault {
            Fault::Invalid => Failure::invalid(self.message),
            Fault::NotFound => Failure::not_found(self.message),
            Fault::Failed => Failure::failed(self.message),
        }
    }
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    Invalid,
    NotFound,
    #[default]
    Failed,
}

impl Fault {
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Invalid => Failure::invalid("as it was told: invalid"),
            Self::NotFound => Failure::not_found("as it was told: not-found"),
            Self::Failed => Failure::failed("as it was told: failed"),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Line {
    pub(crate) level: Level,
    #[serde(default)]
    pub(crate) context: String,
    pub(crate) message: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

impl From<Level> for log::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
            Level::Critical => Self::Critical,
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Printed {
    pub(crate) line: String,
}

#[derive(Deserialize)]
pub(crate) struct Outside {
    pub(crate) file: String,
    pub(crate) address: String,
}

#[derive(Deserialize)]
pub(crate) struct Time {
    pub(crate) ms: u64,
}

//! The payloads of the methods.

use std::collections::BTreeMap;
use std::time::Duration;

use daca_sdk::{Error, Failure, Schedule, actors, bindings, log, pubsub, reminders, state, timers};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
pub(crate) struct Write {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) ttl: Option<u64>,
}

#[derive(Deserialize)]
pub(crate) struct Key {
    pub(crate) key: String,
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
pub(crate) struct Text {
    pub(crate) text: String,
}

#[derive(Deserialize)]
pub(crate) struct Message {
    pub(crate) message: String,
}

#[derive(Deserialize)]
pub(crate) struct Sum {
    pub(crate) a: String,
    pub(crate) b: String,
}

#[derive(Deserialize)]
pub(crate) struct Awaits {
    pub(crate) count: u64,
}

#[derive(Deserialize)]
pub(crate) struct Hold {
    pub(crate) mebibytes: usize,
}

#[derive(Deserialize)]
pub(crate) struct Event {
    pub(crate) topic: String,
    pub(crate) event: Value,
    pub(crate) delivered: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Binding {
    pub(crate) binding: String,
    pub(crate) operation: String,
    #[serde(default)]
    pub(crate) data: String,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
}

pub(crate) fn pairs(metadata: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[derive(Deserialize)]
pub(crate) struct Call {
    #[serde(rename = "type")]
    agent_type: String,
    id: String,
    method: String,
    #[serde(default)]
    payload: Value,
}

impl Call {
    pub(crate) fn make(self) -> Result<Value, Error> {
        actors::invoke(&self.agent_type, &self.id, &self.method, &self.payload)
    }
}

#[derive(Deserialize)]
pub(crate) struct Fail {
    pub(crate) case: Case,
    #[serde(default)]
    pub(crate) message: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Case {
    Invalid,
    NotFound,
    Failed,
}

impl Fail {
    /// The case of this name. Any other is `failed`.
    pub(crate) fn of(case: &str) -> Case {
        match case {
            "invalid" => Case::Invalid,
            "not-found" => Case::NotFound,
            _ => Case::Failed,
        }
    }
}

impl Case {
    pub(crate) fn failure(self, message: String) -> Failure {
        match self {
            Case::Invalid => Failure::invalid(message),
            Case::NotFound => Failure::not_found(message),
            Case::Failed => Failure::failed(message),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Staged {
    key: String,
    value: Value,
    pub(crate) ending: String,
}

impl Staged {
    /// One of everything that can be staged.
    pub(crate) fn stage(&self) -> Result<(), Error> {
        state::set(&self.key, &self.value)?;
        pubsub::publish("daca-pubsub", "conformance", &self.value)?;
        bindings::send("outbox", "create", "staged", &[])?;
        reminders::register("staged", Schedule::after(Duration::ZERO), &self.value)?;
        timers::register("staged", Schedule::after(Duration::ZERO), &self.value)
    }
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Wake {
    pub(crate) name: String,
    due_ms: u64,
    period_ms: Option<u64>,
    ttl_ms: Option<u64>,
    #[serde(default)]
    pub(crate) data: Value,
}

impl Wake {
    pub(crate) fn new(name: String, schedule: Schedule, data: Value) -> Wake {
        let ms = |duration: Duration| duration.as_millis() as u64;
        let (due_ms, period_ms, ttl_ms) =
            (ms(schedule.due()), schedule.period().map(ms), schedule.ttl().map(ms));
        Wake { name, due_ms, period_ms, ttl_ms, data }
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

#[derive(Deserialize)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) message: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl From<Level> for log::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

//! The recorded work of a test's agents.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use daca_embedded::Scheduled;
use daca_model::backend::{BindingRequest, Error};
use serde_json::Value;

/// A published event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The actor that published it, as `TYPE/ID`; `daca` for the host itself, which publishes dead letters.
    pub source: String,
    /// The pub/sub component.
    pub pubsub: String,
    /// The topic.
    pub topic: String,
    /// What it carries. Bytes that are not JSON are a text.
    pub data: Value,
    /// Why a subscription of the manifest did not accept it.
    pub failed: Option<String>,
}

/// A request to an output binding.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingCall {
    /// The actor that made it, as `TYPE/ID`.
    pub source: String,
    /// At once, or as an effect.
    pub how: How,
    /// The binding.
    pub binding: String,
    /// Its operation.
    pub operation: String,
    /// The payload.
    pub data: Bytes,
    /// Names and values beside it.
    pub metadata: BTreeMap<String, String>,
    /// Why it failed. What was sent is recorded when it has left or has failed for good.
    pub failed: Option<String>,
}

/// How a binding was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By `bindings.invoke`: at once, even if the turn failed later.
    Invoked,
    /// By `bindings.send`: after the turn had committed.
    Sent,
}

/// A registered reminder or timer.
#[derive(Debug, Clone, PartialEq)]
pub struct Wakeup {
    /// Its name.
    pub name: String,
    /// What it carries.
    pub data: Value,
    /// The time until it fires next, by the host's clock.
    pub fires_in: Duration,
    /// From one firing to the next; none when it fires once.
    pub every: Option<Duration>,
}

impl BindingCall {
    pub(crate) fn new(
        source: String,
        how: How,
        request: &BindingRequest,
        failed: Option<&Error>,
    ) -> BindingCall {
        let BindingRequest { name, operation, data, metadata } = request.clone();
        let failed = failed.map(Error::to_string);
        BindingCall { source, how, binding: name, operation, data, metadata, failed }
    }

    /// The payload as JSON. Bytes that are not JSON are a text.
    pub fn json(&self) -> Value {
        value(&self.data)
    }
}

impl Event {
    pub(crate) fn new(
        source: String,
        pubsub: &str,
        topic: &str,
        data: &[u8],
        result: &Result<(), Error>,
    ) -> Event {
        Event {
            source,
            pubsub: pubsub.to_owned(),
            topic: topic.to_owned(),
            data: value(data),
            failed: result.as_ref().err().map(Error::to_string),
        }
    }
}

impl Wakeup {
    pub(crate) fn new(scheduled: Scheduled, now: SystemTime) -> Wakeup {
        let Scheduled { name, registration, next } = scheduled;
        Wakeup {
            name,
            data: value(&registration.data),
            fires_in: next.duration_since(now).unwrap_or_default(),
            every: registration.period,
        }
    }
}

/// Bytes as JSON. Empty bytes are `null`, and bytes that are not JSON are a text.
pub(crate) fn value(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    daca_base::json::read(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into())
}

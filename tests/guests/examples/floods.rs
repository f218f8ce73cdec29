//! Gives the host more than it should take. The host must refuse what exceeds a limit as `too-large`, fail a turn whose
//! reply does, and neither grow nor slow down for others.
//!
//! Each method answers `{"accepted": n, "error": null or {"case", "message"}}`: it stops at the first refusal, and ends
//! well, so that what was accepted is committed.

#[path = "shared/refusal.rs"]
mod refusal;

use daca_sdk::{Error, Failure, agent, bindings, log, pubsub, state};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

#[derive(Default)]
struct Floods;

const MEGABYTE: usize = 1_000_000;

/// An event, and how often it is published to a topic of `daca-pubsub`.
#[derive(Deserialize)]
struct Many {
    topic: String,
    event: Value,
    times: u32,
}

#[agent]
impl Floods {
    /// Answers a text of ten megabytes. It takes twenty to make: under a lower limit, the memory ends first.
    #[method(name = "Reply10MB")]
    pub fn reply_10_mb(&self) -> Result<Box<RawValue>, Failure> {
        text(10 * MEGABYTE)
    }

    /// Answers a text of this many bytes, quotes included. It takes twice as many to make.
    pub fn reply(&self, bytes: usize) -> Result<Box<RawValue>, Failure> {
        text(bytes)
    }

    /// Writes `key-0` to `key-9999`.
    #[method(name = "Write10000Keys")]
    pub fn write_10000_keys(&mut self) -> Result<Value, Failure> {
        repeat(10_000, |n| state::set(&format!("key-{n}"), &n))
    }

    /// Reads ten thousand keys in one go.
    #[method(name = "Read10000Keys")]
    pub fn read_10000_keys(&mut self) -> Result<Value, Failure> {
        let keys: Vec<_> = (0..10_000).map(|n| format!("key-{n}")).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        repeat(1, |_| state::get_many::<Value>(&keys).map(drop))
    }

    /// Asks twenty times for a quarter of a million keys in one go, all of them the empty text.
    pub fn many_keys(&mut self) -> Result<Value, Failure> {
        let keys = vec![""; 250_000];
        repeat(1, |_| {
            for _ in 1..20 {
                state::get_many::<Value>(&keys).ok();
            }
            state::get_many::<Value>(&keys).map(drop)
        })
    }

    /// Publishes the numbers from 0 to 999 to `user-chat` of `daca-pubsub`.
    #[method(name = "Publish1000")]
    pub fn publish_1000(&mut self) -> Result<Value, Failure> {
        repeat(1_000, |n| pubsub::publish("daca-pubsub", "user-chat", &n).map(drop))
    }

    /// Publishes one event so often.
    pub fn publish_many(&mut self, Many { topic, event, times }: Many) -> Result<Value, Failure> {
        repeat(times, |_| pubsub::publish("daca-pubsub", &topic, &event).map(drop))
    }

    /// Writes a hundred thousand lines into the log. Nothing can refuse them.
    #[method(name = "Log100000")]
    pub fn log_100000(&self) -> Result<Value, Failure> {
        repeat(100_000, |n| {
            log::info!("flood {n}");
            Ok(())
        })
    }

    /// Writes one line of this many bytes into the log; two megabytes if none are said.
    pub fn huge_line(&self, bytes: Option<usize>) -> Result<Value, Failure> {
        log::info!("{}", letters(bytes));
        repeat(1, |_| Ok(()))
    }

    /// Writes a key of this many bytes; two megabytes if none are said.
    pub fn huge_key(&mut self, bytes: Option<usize>) -> Result<Value, Failure> {
        let key = letters(bytes);
        repeat(1, |_| state::set_bytes(&key, b"1"))
    }

    /// Writes a value of this many bytes, which are no JSON, under `huge`; two megabytes if none are said.
    pub fn huge_value(&mut self, bytes: Option<usize>) -> Result<Value, Failure> {
        let value = letters(bytes);
        repeat(1, |_| state::set_bytes("huge", value.as_bytes()))
    }

    /// Reads the bytes under `huge`, and forgets them.
    pub fn read_huge(&mut self) -> Result<Value, Failure> {
        repeat(1, |_| state::get_bytes("huge").map(drop))
    }

    /// Publishes an event of this many bytes, which are no JSON; two megabytes if none are said.
    pub fn huge_event(&mut self, bytes: Option<usize>) -> Result<Value, Failure> {
        let event = letters(bytes);
        repeat(1, |_| pubsub::publish_bytes("daca-pubsub", "user-chat", event.as_bytes()).map(drop))
    }

    /// Sends metadata of this many bytes, in one value, to `create` of `twilio-binding`; two megabytes if none are said.
    pub fn huge_metadata(&mut self, bytes: Option<usize>) -> Result<Value, Failure> {
        let value = letters(bytes);
        repeat(1, |_| bindings::send("twilio-binding", "create", "", &[("toNumber", &value)]).map(drop))
    }

    /// Sends ten thousand pairs of metadata to `create` of `twilio-binding`.
    pub fn many_metadata(&mut self) -> Result<Value, Failure> {
        let names: Vec<_> = (0..10_000).map(|n| format!("name-{n}")).collect();
        let metadata: Vec<_> = names.iter().map(|name| (name.as_str(), "value")).collect();
        repeat(1, |_| bindings::send("twilio-binding", "create", "", &metadata).map(drop))
    }
}

fn repeat(times: u32, mut act: impl FnMut(u32) -> Result<(), Error>) -> Result<Value, Failure> {
    for n in 0..times {
        if let Err(e) = act(n) {
            return Ok(json!({ "accepted": n, "error": refusal::refusal(&e) }));
        }
    }
    Ok(json!({ "accepted": times, "error": null }))
}

fn letters(bytes: Option<usize>) -> String {
    "a".repeat(bytes.unwrap_or(2 * MEGABYTE))
}

/// A text in JSON, quotes included, that takes no more memory than it must.
fn text(bytes: usize) -> Result<Box<RawValue>, Failure> {
    let mut text = String::with_capacity(bytes);
    text.push('"');
    text.extend(std::iter::repeat_n('a', bytes.saturating_sub(2)));
    text.push('"');
    RawValue::from_string(text).map_err(|e| Failure::failed(e.to_string()))
}

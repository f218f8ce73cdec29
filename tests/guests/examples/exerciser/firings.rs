//! The firings of reminders and timers.

use std::time::Duration;

use daca_sdk::{Failure, Schedule, log, reminders, state, timers};
use serde_json::{Value, json};

use crate::answer;
use crate::payloads::Call;

/// Records a firing in state, under `fired`. Some data asks for more:
///
/// - `{"fails_without": "KEY"}` fails as long as the state has no such key.
/// - `{"traps_without": "KEY"}` panics as long as the state has no such key.
/// - `{"unregister": true}` unregisters what fires.
/// - `{"register_again": DATA}` registers a reminder of the same name, which fires once with these data.
/// - `{"sleeps_ms": N}` waits in the host for so long.
/// - `{"logs": N}` writes so many lines into the log, and is not recorded.
/// - `{"call": CALL}` calls an actor, and keeps what came of it under `called-NAME`.
pub(crate) fn record(kind: &str, name: &str, data: Value) -> Result<(), Failure> {
    if let Some(key) = data.get("fails_without").and_then(Value::as_str)
        && state::get_bytes(key)?.is_none()
    {
        return Err(Failure::failed(format!("the {kind} `{name}` waits for the key `{key}`")));
    }
    if let Some(key) = data.get("traps_without").and_then(Value::as_str)
        && state::get_bytes(key)?.is_none()
    {
        panic!("the {kind} `{name}` waits for the key `{key}`");
    }
    if let Some(ms) = data.get("sleeps_ms").and_then(Value::as_u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }
    if let Some(lines) = data.get("logs").and_then(Value::as_u64) {
        for line in 0..lines {
            log::info!("the {kind} `{name}` writes line {line:0>100}");
        }
        return Ok(());
    }
    if data.get("unregister") == Some(&Value::Bool(true)) {
        if kind == "reminder" { reminders::unregister(name)? } else { timers::unregister(name)? }
    }
    if let Some(again) = data.get("register_again") {
        reminders::register(name, Schedule::after(Duration::ZERO), again)?;
    }
    if let Some(call) = data.get("call") {
        let call =
            serde_json::from_value::<Call>(call.clone()).map_err(|e| Failure::invalid(e.to_string()))?;
        state::set(&format!("called-{name}"), &answer(call.make())?)?;
    }
    let mut fired = state::get::<Vec<Value>>("fired")?.unwrap_or_default();
    fired.push(json!({ "kind": kind, "name": name, "data": data }));
    Ok(state::set("fired", &fired)?)
}

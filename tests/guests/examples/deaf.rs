//! Asks to be woken and has no hook that would hear it. The host must refuse both registrations as `invalid`.

#[path = "shared/refusal.rs"]
mod refusal;

use std::time::Duration;

use daca_sdk::{Failure, Schedule, agent, reminders, timers};
use serde_json::{Value, json};

#[derive(Default)]
struct Deaf;

#[agent]
impl Deaf {
    /// Answers what became of it: null when it was accepted.
    pub fn register_reminder(&self) -> Result<Value, Failure> {
        Ok(outcome(reminders::register("wake", Schedule::after(Duration::ZERO), &())))
    }

    /// Answers what became of it: null when it was accepted.
    pub fn register_timer(&self) -> Result<Value, Failure> {
        Ok(outcome(timers::register("wake", Schedule::after(Duration::ZERO), &())))
    }
}

fn outcome(result: Result<(), daca_sdk::Error>) -> Value {
    result.map_or_else(|e| json!({ "error": refusal::refusal(&e) }), |()| Value::Null)
}

//! Is told of its effects that failed. It records each in its state, and publishes an event about it.

use std::time::Duration;

use daca_sdk::{EffectRequest, Error, FailedEffect, Failure, agent, bindings, log, pubsub, state};
use serde_json::{Value, json};

const FAILURES: &str = "failures";

#[derive(Default)]
struct Told;

#[agent]
impl Told {
    /// Publishes an event.
    pub fn publish(&mut self, event: Value) -> Result<(), Failure> {
        pubsub::publish("daca-pubsub", "asked", &event)?;
        Ok(())
    }

    /// Sends a text.
    pub fn send(&mut self, text: String) -> Result<(), Failure> {
        bindings::send("twilio-binding", "create", &text, &[("toNumber", "+1987654321")])?;
        Ok(())
    }

    /// The effects of which it was told, oldest first.
    pub fn failures(&self) -> Result<Vec<Value>, Failure> {
        Ok(state::get(FAILURES)?.unwrap_or_default())
    }

    /// It takes two seconds for a payload with `slow`, and panics at one with `trap`.
    #[effect_failed]
    fn failed(&mut self, effect: FailedEffect, reason: Error) -> Result<(), Failure> {
        let payload = String::from_utf8_lossy(effect.payload()).into_owned();
        log::info!("told of {}", effect.identity);
        if payload.contains("slow") {
            std::thread::sleep(Duration::from_secs(2));
        }
        let (target, metadata) = match &effect.request {
            EffectRequest::Publish { pubsub, topic, .. } => (format!("{pubsub}/{topic}"), Vec::new()),
            EffectRequest::Send { binding, operation, metadata, .. } => {
                (format!("{binding}/{operation}"), metadata.clone())
            }
        };
        let mut failures = self.failures()?;
        let failure = json!({
            "identity": effect.identity, "target": target, "payload": payload, "metadata": metadata,
            "attempts": effect.attempts, "reason": reason.to_string(),
            "definite": !matches!(reason, Error::Unavailable(_)),
        });
        failures.push(failure.clone());
        state::set(FAILURES, &failures)?;
        let event = json!({"to": "s", "payload": {"key": "failure", "value": failure}});
        pubsub::publish("daca-pubsub", "failures", &event)?;
        if payload.contains("trap") {
            panic!("as it was told");
        }
        Ok(())
    }
}

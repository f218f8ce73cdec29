//! The effects of a test's agents: those that wait, those that failed, and the wait until nothing is under way.

use std::time::SystemTime;

use daca_model::backend::{EffectRequest, EffectStatus, FailedEffect};
use serde_json::Value;

use crate::host::{EffectParts, HostParts, POLL_INTERVAL, address};
use crate::seen::value;
use crate::{Error, Host};

/// An effect that waits: its last try has failed, and the next one is later by the host's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingEffect {
    /// `PUBSUB/TOPIC` or `BINDING/OPERATION`.
    pub target: String,
    /// The event, or the data for the binding, cut after 4,096 bytes. What is not JSON is a text.
    pub data: Value,
    /// The tries so far.
    pub attempts: u32,
    /// Why the last one failed. `None` for one that waits behind another.
    pub error: Option<String>,
}

/// A dead letter: an effect that was given up.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The identity of the effect.
    pub id: String,
    /// `PUBSUB/TOPIC` or `BINDING/OPERATION`.
    pub target: String,
    /// The event, or the data for the binding. Bytes that are not JSON are a text.
    pub data: Value,
    /// The tries that were made.
    pub attempts: u32,
    /// The case of the reason, as an agent gets it: `unavailable` after too many tries; `invalid`, `not-found`, `too-large` or
    /// `other` at once.
    pub code: String,
    /// The text of the reason.
    pub reason: String,
    /// The agent was told (`#[effect_failed]`), and that call was kept.
    pub told: bool,
}

impl DeadLetter {
    fn new(failed: FailedEffect) -> DeadLetter {
        let FailedEffect { effect, attempts, reason, is_told } = failed;
        let (target, data) = match &effect.request {
            EffectRequest::Publish { pubsub, topic, event } => (format!("{pubsub}/{topic}"), value(event)),
            EffectRequest::Send(request) => {
                (format!("{}/{}", request.name, request.operation), value(&request.data))
            }
        };
        DeadLetter {
            id: effect.id.to_string(),
            target,
            data,
            attempts,
            code: reason.case().to_owned(),
            reason: reason.to_string(),
            told: is_told,
        }
    }
}

impl Host {
    /// The effects of an actor that wait for another try, from old to new. [`Host::advance`] brings it about.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`].
    pub async fn pending_effects(&self, actor: &str) -> Result<Vec<PendingEffect>, Error> {
        let actor = address(actor)?.to_string();
        self.settled().await?;
        let entries = self.parts.effects.outbox.entries().into_iter();
        let waiting = entries.filter(|entry| entry.status == EffectStatus::Pending && entry.actor == actor);
        let pending = waiting.map(|entry| PendingEffect {
            target: entry.target,
            data: value(entry.data.as_bytes()),
            attempts: entry.attempts,
            error: entry.error,
        });
        Ok(pending.collect())
    }

    /// The dead letters of an actor, from old to new: its effects that were given up.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and [`Error::State`] when the state file cannot be read.
    pub async fn dead_letters(&self, actor: &str) -> Result<Vec<DeadLetter>, Error> {
        let actor = address(actor)?;
        self.settled().await?;
        let letters = self.parts.actors.dead_letters(&actor).await?;
        Ok(letters.into_iter().map(DeadLetter::new).collect())
    }
}

impl HostParts {
    /// Waits until nothing is under way.
    pub(crate) async fn rest(&self) {
        loop {
            self.backend.embedded.settled().await;
            if self.is_at_rest() {
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// A firing that has ended may have left an effect, and an effect that was delivered a reminder. So no effect may have come
    /// between the two looks. What follows from an effect is looked at in the order in which it follows.
    fn is_at_rest(&self) -> bool {
        let effects = || {
            let EffectParts { outbox, deliveries } = &self.effects;
            let counts = outbox.counts();
            (deliveries.pending(), counts.sent + counts.failed)
        };
        let before = effects();
        let wait_for_the_clock = before.0 == 0 || self.effects.deliveries.lanes() == self.clock.waiting();
        // Twice: a firing may lead to a turn in which an agent is told, and that to a firing.
        let is_quiet = || !self.actors.has_burials() && self.backend.embedded.has_settled();
        wait_for_the_clock && is_quiet() && is_quiet() && effects() == before
    }

    /// The next time at which something happens by itself: a reminder or timer fires, or an effect is tried again.
    pub(crate) fn next_event(&self) -> Option<SystemTime> {
        [self.backend.embedded.next_firing(), self.clock.next_wait()].into_iter().flatten().min()
    }
}

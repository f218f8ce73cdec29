//! Events in process: each subscription to a topic gets an event, with the attempts that a broker and the host give it
//! together.

use std::collections::HashMap;

use bytes::Bytes;

use daca_base::backoff::Backoff;
use daca_manifest::Manifest;
use daca_model::backend::{EventOutcome, Inbound};

/// A subscription, as far as the attempts at its events need it.
pub(super) struct Subscriber {
    pub(super) path: String,
    /// Attempts at which the agent fails, before the event is dead-lettered or given up.
    attempts: u32,
    has_dead_letter: bool,
}

/// The subscriptions of each topic.
pub(super) struct Subscribers {
    by_topic: HashMap<(String, String), Vec<Subscriber>>,
    /// The attempts to deliver an effect, and the wait before the second one.
    effect_tries: (u32, Backoff),
}

impl Subscribers {
    pub(super) fn new(manifest: &Manifest) -> Subscribers {
        let mut by_topic = HashMap::<_, Vec<Subscriber>>::new();
        for one in &manifest.subscriptions {
            let topic = (one.pubsub.clone(), one.topic.clone());
            by_topic.entry(topic).or_default().push(Subscriber {
                path: one.path.clone(),
                attempts: one.attempts,
                has_dead_letter: one.dead_letter.is_some(),
            });
        }
        let effect_tries =
            (manifest.host.effect_attempts, Backoff::unbounded(manifest.host.effect_retry_delay));
        Subscribers { by_topic, effect_tries }
    }

    /// The subscriptions of a topic; none if nobody subscribes.
    pub(super) fn of(&self, pubsub: &str, topic: &str) -> &[Subscriber] {
        self.by_topic.get(&(pubsub.to_owned(), topic.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Delivers an event to one subscription, with retries while it asks for them. A dropped event counts as delivered,
    /// as it does for a broker; the subscription has logged the reason.
    ///
    /// An effect has so many attempts (`effect-attempts`). At failures of the agent alone, a subscription with a
    /// dead-letter topic has its own number: nothing is lost there.
    pub(super) async fn deliver(
        &self,
        inbound: &dyn Inbound,
        to: &Subscriber,
        event: &Bytes,
    ) -> Result<(), String> {
        let (most, backoff) = self.effect_tries;
        let (mut attempt, mut failed) = (0_u32, 0_u32);
        loop {
            attempt += 1;
            let (reason, is_last) = match inbound.event(&to.path, event).await {
                EventOutcome::Success | EventOutcome::Drop(_) => return Ok(()),
                EventOutcome::Retry(reason) => (reason, attempt >= most),
                EventOutcome::Failed(reason) => {
                    failed += 1;
                    if failed >= to.attempts {
                        let outcome = inbound.event_failed(&to.path, event, reason).await;
                        return ended(outcome, attempt);
                    }
                    (reason, attempt >= most && !to.has_dead_letter)
                }
            };
            if is_last {
                return Err(given_up(attempt, &reason));
            }
            tokio::time::sleep(backoff.after(attempt)).await;
        }
    }
}

fn ended(outcome: EventOutcome, attempt: u32) -> Result<(), String> {
    match outcome {
        EventOutcome::Success | EventOutcome::Drop(_) => Ok(()),
        EventOutcome::Retry(reason) | EventOutcome::Failed(reason) => Err(given_up(attempt, &reason)),
    }
}

fn given_up(attempt: u32, reason: &str) -> String {
    format!("after {attempt} attempts: {reason}")
}

//! Events in process: each subscription to a topic gets an event, with the attempts that a broker and the host give it
//! together.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use daca_base::backoff::Backoff;
use daca_manifest::Manifest;
use daca_model::backend::{Error, EventOutcome, Inbound, Tried};

/// The longest wait before another attempt at an event that can be dead-lettered: it has many attempts.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// A subscription, as far as the attempts at its events need it.
struct Subscriber {
    path: String,
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

    /// Delivers an event, with its envelope, to all subscriptions of a topic, one after the other.
    pub(super) async fn deliver_all(
        &self,
        inbound: &dyn Inbound,
        pubsub: &str,
        topic: &str,
        event: &Bytes,
    ) -> Tried {
        let Some(subscribers) = self.by_topic.get(&(pubsub.to_owned(), topic.to_owned())) else {
            tracing::debug!("nobody subscribes to {pubsub}/{topic}");
            return Ok(()).into();
        };
        let (mut failures, mut most) = (Vec::new(), 1);
        for subscriber in subscribers {
            let (attempts, result) = self.deliver(inbound, subscriber, event).await;
            most = most.max(attempts);
            if let Err(reason) = result {
                failures.push(format!("{}: {reason}", subscriber.path));
            }
        }
        // Not `Unavailable`: the subscriptions that accepted the event must not get it again.
        let result = if failures.is_empty() { Ok(()) } else { Err(Error::Other(failures.join("; "))) };
        Tried { attempts: most, result }
    }

    /// Delivers an event to one subscription, with retries while it asks for them. A dropped event counts as delivered,
    /// as it does for a broker; the subscription has logged the reason.
    ///
    /// What cannot be handled now has the attempts of an effect (`effect-attempts`), and so has an agent that fails, if
    /// the subscription allows no fewer (`attempts`). With a dead-letter topic, an agent that fails has the
    /// subscription's number: nothing is lost there. Returns the number of attempts, too.
    async fn deliver(
        &self,
        inbound: &dyn Inbound,
        to: &Subscriber,
        event: &Bytes,
    ) -> (u32, Result<(), String>) {
        let (most, backoff) = self.effect_tries;
        let (mut attempt, mut failed) = (0_u32, 0_u32);
        loop {
            attempt += 1;
            let (reason, is_last) = match inbound.event(&to.path, event).await {
                EventOutcome::Success | EventOutcome::Drop(_) => return (attempt, Ok(())),
                EventOutcome::Retry(reason) => (reason, attempt - failed >= most),
                EventOutcome::Failed(reason) => {
                    failed += 1;
                    if failed >= to.attempts {
                        let outcome = inbound.event_failed(&to.path, event, reason).await;
                        return (attempt, ended(outcome, attempt));
                    }
                    (reason, attempt >= most && !to.has_dead_letter)
                }
            };
            if is_last {
                return (attempt, Err(given_up(attempt, &reason)));
            }
            let wait = backoff.after(attempt);
            tokio::time::sleep(if to.has_dead_letter { wait.min(MAX_WAIT) } else { wait }).await;
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use async_trait::async_trait;
    use daca_model::backend::FiredWakeup;
    use daca_model::{ActorAddress, CallError};
    use parking_lot::Mutex;
    use tokio::time::Instant;

    use super::*;

    /// A subscription that answers in this order, and then successfully.
    #[derive(Default)]
    struct Script {
        answers: Mutex<VecDeque<EventOutcome>>,
        dead_letters: Mutex<usize>,
    }

    #[async_trait]
    impl Inbound for Script {
        async fn wake(&self, _: ActorAddress, _: FiredWakeup, _: Bytes) -> Result<(), CallError> {
            Ok(())
        }

        async fn event(&self, _: &str, _: &Bytes) -> EventOutcome {
            self.answers.lock().pop_front().unwrap_or(EventOutcome::Success)
        }

        async fn event_failed(&self, _: &str, _: &Bytes, _: String) -> EventOutcome {
            *self.dead_letters.lock() += 1;
            EventOutcome::Success
        }
    }

    /// An event that can be dead-lettered is not lost to a host that is busy for a moment, and its many attempts do not
    /// hold up its sender for hours.
    #[tokio::test(start_paused = true)]
    async fn an_event_with_a_dead_letter_topic_is_dead_lettered_and_never_given_up() {
        let failed = || EventOutcome::Failed("no".to_owned());
        let mut answers = VecDeque::from_iter((0..6).map(|_| failed()));
        answers.push_back(EventOutcome::Retry("busy".to_owned()));
        answers.extend((0..14).map(|_| failed()));
        let script = Script { answers: Mutex::new(answers), ..Script::default() };
        let to = Subscriber { path: "/e".to_owned(), attempts: 20, has_dead_letter: true };
        let effect_tries = (5, Backoff::unbounded(Duration::from_millis(200)));
        let subscribers = Subscribers { by_topic: HashMap::new(), effect_tries };

        let began = Instant::now();
        let result = subscribers.deliver(&script, &to, &Bytes::from_static(b"{}")).await;
        assert_eq!((result, *script.dead_letters.lock()), ((21, Ok(())), 1));
        assert!(began.elapsed() < 21 * MAX_WAIT, "{:?}", began.elapsed());
    }
}

//! Events in process: each subscription to a topic gets an event, with the attempts that a broker and the host give it
//! together.
//!
//! The event of an effect that a subscription cannot handle now is retried by whoever delivers effects, as if a broker
//! were away. The subscriptions that have handled it do not get it again, as far as this process remembers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use daca_base::backoff::Backoff;
use daca_manifest::Manifest;
use daca_model::backend::{Error, EventOutcome, Inbound, Tried};

/// The longest wait before another attempt at an event that can be dead-lettered: it has many attempts.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// The effects whose progress is remembered. Each actor has few that are retried at the same time. Of others, a
/// subscription may get the event twice.
const MAX_REMEMBERED: usize = 10_000;

/// A subscription, as far as the attempts at its events need it.
pub(super) struct Subscriber {
    path: String,
    /// Attempts at which the agent fails, before the event is dead-lettered or given up.
    attempts: u32,
    has_dead_letter: bool,
}

/// The subscriptions of each topic of each pub/sub component.
pub(super) struct Subscribers {
    by_topic: HashMap<String, HashMap<String, Vec<Subscriber>>>,
    /// The attempts at an event of the host itself, and at one on which an agent fails, with the wait before the second
    /// one.
    tries: (u32, Backoff),
    /// The effects that some subscriptions have handled, and others are to get again, by their identities.
    started: Mutex<HashMap<Arc<str>, Progress>>,
}

/// The progress of an event: for each subscription of its topic how often its agent has failed, or `None` if it is done.
#[derive(Default)]
struct Progress {
    subscribers: Vec<Option<u32>>,
    /// Why some have given it up.
    failures: Vec<String>,
}

/// Why a subscription has not handled an event.
enum Unhandled {
    /// It cannot now.
    Later(String),
    /// It never will.
    GivenUp(String),
}

impl Subscribers {
    pub(super) fn new(manifest: &Manifest) -> Subscribers {
        let mut by_topic = HashMap::<_, HashMap<_, Vec<Subscriber>>>::new();
        for one in &manifest.subscriptions {
            let topics = by_topic.entry(one.pubsub.clone()).or_default();
            topics.entry(one.topic.clone()).or_default().push(Subscriber {
                path: one.path.clone(),
                attempts: one.attempts,
                has_dead_letter: one.dead_letter.is_some(),
            });
        }
        let tries = (manifest.host.effect_attempts, Backoff::unbounded(manifest.host.effect_retry_delay));
        Subscribers { by_topic, tries, started: Mutex::default() }
    }

    /// The subscriptions of a topic. `None` if there are none: an event for it need not even get its envelope.
    pub(super) fn of(&self, pubsub: &str, topic: &str) -> Option<&[Subscriber]> {
        let found = self.by_topic.get(pubsub).and_then(|topics| topics.get(topic));
        if found.is_none() {
            tracing::debug!("nobody subscribes to {pubsub}/{topic}");
        }
        found.map(Vec::as_slice)
    }

    /// Delivers the event of an effect, with its envelope, to the subscriptions of a topic that have not handled it.
    /// [`Error::Unavailable`] if one of them cannot handle it now.
    pub(super) async fn deliver_effect(
        &self,
        inbound: &dyn Inbound,
        id: &Arc<str>,
        pubsub: &str,
        topic: &str,
        event: &Bytes,
    ) -> Tried {
        let mut progress = self.started.lock().remove(id).unwrap_or_default();
        let tried = self.try_all(inbound, pubsub, topic, event, &mut progress).await;
        if tried.result.as_ref().is_err_and(Error::is_retryable) {
            self.remember(id, progress);
        }
        tried
    }

    fn remember(&self, id: &Arc<str>, progress: Progress) {
        let mut started = self.started.lock();
        if started.len() >= MAX_REMEMBERED
            && let Some(other) = started.keys().next().cloned()
        {
            started.remove(&other);
        }
        started.insert(id.clone(), progress);
    }

    /// Delivers an event of the host itself to all subscriptions of a topic, with the attempts of an effect.
    pub(super) async fn deliver_all(
        &self,
        inbound: &dyn Inbound,
        pubsub: &str,
        topic: &str,
        event: &Bytes,
    ) -> Tried {
        let (most, backoff) = self.tries;
        let (mut progress, mut round, mut attempts) = (Progress::default(), 0_u32, 0_u32);
        loop {
            round += 1;
            let tried = self.try_all(inbound, pubsub, topic, event, &mut progress).await;
            attempts = attempts.saturating_add(tried.attempts);
            if !tried.result.as_ref().is_err_and(Error::is_retryable) {
                return Tried { attempts, result: tried.result };
            }
            if round >= most {
                let result = tried.result.map_err(|error| Error::Other(given_up(round, &error.to_string())));
                return Tried { attempts, result };
            }
            tokio::time::sleep(backoff.after(round)).await;
        }
    }

    /// Delivers an event to the subscriptions that are not done with it, one after the other.
    async fn try_all(
        &self,
        inbound: &dyn Inbound,
        pubsub: &str,
        topic: &str,
        event: &Bytes,
        progress: &mut Progress,
    ) -> Tried {
        let Some(subscribers) = self.of(pubsub, topic) else { return Ok(()).into() };
        progress.subscribers.resize(subscribers.len(), Some(0));
        let Progress { subscribers: states, failures } = progress;
        let (mut later, mut most) = (Vec::new(), 1);
        for (subscriber, state) in subscribers.iter().zip(states) {
            let Some(failed) = state else { continue };
            let (attempts, result) = self.deliver(inbound, subscriber, event, failed).await;
            most = most.max(attempts);
            match result {
                Ok(()) => *state = None,
                Err(Unhandled::Later(reason)) => later.push(format!("{}: {reason}", subscriber.path)),
                Err(Unhandled::GivenUp(reason)) => {
                    *state = None;
                    failures.push(format!("{}: {reason}", subscriber.path));
                }
            }
        }
        let result = match (later.is_empty(), failures.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => Err(Error::Other(failures.join("; "))),
            (false, _) => Err(Error::Unavailable(later.join("; "))),
        };
        Tried { attempts: most, result }
    }

    /// Delivers an event to one subscription, with retries while its agent fails. A dropped event counts as delivered, as
    /// it does for a broker; the subscription has logged the reason.
    ///
    /// An agent that fails has the attempts of an event of the host, if the subscription allows no fewer (`attempts`).
    /// With a dead-letter topic it has the subscription's number: nothing is lost there. `failed` counts them. Returns
    /// the number of attempts made now, too.
    async fn deliver(
        &self,
        inbound: &dyn Inbound,
        to: &Subscriber,
        event: &Bytes,
        failed: &mut u32,
    ) -> (u32, Result<(), Unhandled>) {
        let (most, backoff) = self.tries;
        let mut attempts = 0_u32;
        loop {
            attempts += 1;
            let reason = match inbound.event(&to.path, event).await {
                EventOutcome::Success | EventOutcome::Drop(_) => return (attempts, Ok(())),
                EventOutcome::Retry(reason) => return (attempts, Err(Unhandled::Later(reason))),
                EventOutcome::Failed(reason) => reason,
            };
            *failed = failed.saturating_add(1);
            if *failed >= to.attempts {
                let outcome = inbound.event_failed(&to.path, event, reason).await;
                return (attempts, ended(outcome, *failed));
            }
            if *failed >= most && !to.has_dead_letter {
                return (attempts, Err(Unhandled::GivenUp(given_up(*failed, &reason))));
            }
            let wait = backoff.after(*failed);
            tokio::time::sleep(if to.has_dead_letter { wait.min(MAX_WAIT) } else { wait }).await;
        }
    }
}

fn ended(outcome: EventOutcome, attempt: u32) -> Result<(), Unhandled> {
    match outcome {
        EventOutcome::Success | EventOutcome::Drop(_) => Ok(()),
        EventOutcome::Retry(reason) | EventOutcome::Failed(reason) => {
            Err(Unhandled::GivenUp(given_up(attempt, &reason)))
        }
    }
}

fn given_up(attempts: u32, reason: &str) -> String {
    format!("after {attempts} attempts: {reason}")
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use async_trait::async_trait;
    use daca_model::backend::FiredWakeup;
    use daca_model::{ActorAddress, CallError};
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

    /// The subscription of the script's events, with as many attempts as an effect has.
    fn subscribers(to: Vec<Subscriber>) -> Subscribers {
        let by_topic = HashMap::from([("p".to_owned(), HashMap::from([("t".to_owned(), to)]))]);
        let tries = (5, Backoff::unbounded(Duration::from_millis(200)));
        Subscribers { by_topic, tries, started: Mutex::default() }
    }

    fn subscriber(path: &str, attempts: u32, has_dead_letter: bool) -> Subscriber {
        Subscriber { path: path.to_owned(), attempts, has_dead_letter }
    }

    fn failed() -> EventOutcome {
        EventOutcome::Failed("no".to_owned())
    }

    fn busy() -> EventOutcome {
        EventOutcome::Retry("busy".to_owned())
    }

    fn event() -> Bytes {
        Bytes::from_static(b"{}")
    }

    /// An event that can be dead-lettered is not lost to a host that is busy for a moment, and its many attempts do not
    /// hold up its sender for hours.
    #[tokio::test(start_paused = true)]
    async fn an_event_with_a_dead_letter_topic_is_dead_lettered_and_never_given_up() {
        let answers = (0..6).map(|_| failed()).chain([busy()]).chain((0..14).map(|_| failed()));
        let script = Script { answers: Mutex::new(answers.collect()), ..Script::default() };
        let subscribers = subscribers(vec![subscriber("/e", 20, true)]);
        let id = Arc::<str>::from("turn-0");

        let began = Instant::now();
        let tried = subscribers.deliver_effect(&script, &id, "p", "t", &event()).await;
        assert!(matches!(tried.result, Err(Error::Unavailable(_))), "it is busy: {tried:?}");
        let again = subscribers.deliver_effect(&script, &id, "p", "t", &event()).await;
        assert!(again.result.is_ok(), "{again:?}");
        assert_eq!((tried.attempts, again.attempts, *script.dead_letters.lock()), (7, 14, 1));
        assert!(began.elapsed() < 21 * MAX_WAIT, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_has_an_event_does_not_get_it_again_because_of_another_one() {
        let script = Script::default();
        let subscribers = subscribers(vec![subscriber("/a", 5, false), subscriber("/b", 5, false)]);
        let id = Arc::<str>::from("turn-0");
        // "/a" handles it, and "/b" does with the third attempt.
        script.answers.lock().extend([EventOutcome::Success, busy(), busy()]);
        for _ in 0..2 {
            let tried = subscribers.deliver_effect(&script, &id, "p", "t", &event()).await;
            assert!(matches!(tried.result, Err(Error::Unavailable(_))), "{tried:?}");
        }
        script.answers.lock().extend([EventOutcome::Success, failed()]);
        let tried = subscribers.deliver_effect(&script, &id, "p", "t", &event()).await;
        assert!(tried.result.is_ok(), "{tried:?}");
        assert_eq!(*script.answers.lock(), [failed()], "\"/a\" was not asked again");
        assert_eq!(subscribers.started.lock().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_of_the_host_itself_is_given_up_after_the_attempts_of_an_effect() {
        let script = Script { answers: Mutex::new((0..5).map(|_| busy()).collect()), ..Script::default() };
        let subscribers = subscribers(vec![subscriber("/e", 20, false)]);
        let tried = subscribers.deliver_all(&script, "p", "t", &event()).await;
        assert!(matches!(tried.result, Err(Error::Other(_))), "{tried:?}");
        assert_eq!(tried.attempts, 5);
    }
}

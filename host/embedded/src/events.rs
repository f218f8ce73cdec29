//! Events in process: each subscription to a topic gets an event, with the attempts that a broker and the host give it
//! together.
//!
//! The event of an effect that a subscription cannot handle now, or on which its agent fails, is retried by whoever
//! delivers effects, as if a broker were away: with the waits and the time of the manifest, and without holding up a
//! shutdown. The subscriptions that have handled it do not get it again, as far as this process remembers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use daca_base::backoff::Backoff;
use daca_base::json::Document;
use daca_manifest::Manifest;
use daca_model::backend::{Error, EventOutcome, Inbound};
use daca_model::cloud_event;

/// The longest wait before another attempt at an event of the host itself on which an agent fails: it may have many attempts.
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

/// An event in its envelope, in which it is once parsed for all subscriptions.
pub(super) fn enveloped(
    id: &str,
    source: &str,
    [pubsub, topic]: [&str; 2],
    event: &Bytes,
) -> Result<Document, Error> {
    cloud_event::envelope(id, source, pubsub, topic, event).map_err(|error| {
        Error::TooLarge(format!("the event for {pubsub}/{topic} cannot be delivered: {error}"))
    })
}

/// Why a subscription has not handled an event.
enum Unhandled {
    /// It cannot now.
    Later(String),
    /// Its agent has failed, and has further attempts.
    Failed(String),
    /// It never will.
    GivenUp(String),
}

/// One attempt at all subscriptions.
struct Round {
    /// [`Error::Unavailable`] if some are to get the event again.
    result: Result<(), Error>,
    /// One of them cannot handle it now.
    is_busy: bool,
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

    /// Makes one attempt to deliver the event of an effect, with its envelope, to the subscriptions of a topic that have not
    /// handled it. [`Error::Unavailable`] if one of them is to get it again.
    pub(super) async fn deliver_effect(
        &self,
        inbound: &dyn Inbound,
        id: &Arc<str>,
        [pubsub, topic]: [&str; 2],
        event: &Document,
    ) -> Result<(), Error> {
        let mut progress = self.started.lock().remove(id).unwrap_or_default();
        let Round { result, .. } = self.try_all(inbound, pubsub, topic, event, &mut progress).await;
        if result.as_ref().is_err_and(Error::is_retryable) {
            self.remember(id, progress);
        }
        result
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

    /// Delivers an event of the host itself to all subscriptions of a topic. Each has its attempts at an event on which its
    /// agent fails; while some cannot handle it now, it has those of an effect.
    pub(super) async fn deliver_all(
        &self,
        inbound: &dyn Inbound,
        pubsub: &str,
        topic: &str,
        event: &Document,
    ) -> Result<(), Error> {
        let (most, backoff) = self.tries;
        let (mut progress, mut round, mut busy) = (Progress::default(), 0_u32, 0_u32);
        loop {
            round = round.saturating_add(1);
            let Round { result, is_busy } = self.try_all(inbound, pubsub, topic, event, &mut progress).await;
            busy += u32::from(is_busy);
            match result {
                Err(error) if error.is_retryable() && busy >= most => {
                    return Err(Error::Other(given_up(round, &error.to_string())));
                }
                Err(error) if error.is_retryable() => {}
                result => return result,
            }
            let wait = backoff.after(round);
            tokio::time::sleep(if is_busy { wait } else { wait.min(MAX_WAIT) }).await;
        }
    }

    /// Makes one attempt at each subscription that is not done with an event, one after the other.
    async fn try_all(
        &self,
        inbound: &dyn Inbound,
        pubsub: &str,
        topic: &str,
        event: &Document,
        progress: &mut Progress,
    ) -> Round {
        let Some(subscribers) = self.of(pubsub, topic) else {
            return Round { result: Ok(()), is_busy: false };
        };
        progress.subscribers.resize(subscribers.len(), Some(0));
        let Progress { subscribers: states, failures } = progress;
        let (mut later, mut is_busy) = (Vec::new(), false);
        for (subscriber, state) in subscribers.iter().zip(states) {
            let Some(failed) = state else { continue };
            match self.deliver(inbound, subscriber, event, failed).await {
                Ok(()) => *state = None,
                Err(Unhandled::Later(reason)) => {
                    is_busy = true;
                    later.push(format!("{}: {reason}", subscriber.path));
                }
                Err(Unhandled::Failed(reason)) => later.push(format!("{}: {reason}", subscriber.path)),
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
        Round { result, is_busy }
    }

    /// Makes one attempt at one subscription. A dropped event counts as delivered, as it does for a broker; the
    /// subscription has logged the reason.
    ///
    /// An agent that fails has the attempts of an event of the host, if the subscription allows no fewer (`attempts`).
    /// With a dead-letter topic it has the subscription's number: nothing is lost there. `failed` counts them.
    async fn deliver(
        &self,
        inbound: &dyn Inbound,
        to: &Subscriber,
        event: &Document,
        failed: &mut u32,
    ) -> Result<(), Unhandled> {
        let reason = match inbound.event(&to.path, event).await {
            EventOutcome::Success | EventOutcome::Drop(_) => return Ok(()),
            EventOutcome::Retry(reason) => return Err(Unhandled::Later(reason)),
            EventOutcome::Failed(reason) => reason,
        };
        *failed = failed.saturating_add(1);
        if *failed >= to.attempts {
            return ended(inbound.event_failed(&to.path, event, reason).await, *failed);
        }
        let (most, _) = self.tries;
        if *failed >= most && !to.has_dead_letter {
            return Err(Unhandled::GivenUp(given_up(*failed, &reason)));
        }
        Err(Unhandled::Failed(reason))
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

        async fn event(&self, _: &str, _: &Document) -> EventOutcome {
            self.answers.lock().pop_front().unwrap_or(EventOutcome::Success)
        }

        async fn event_failed(&self, _: &str, _: &Document, _: String) -> EventOutcome {
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

    fn event() -> Document {
        Document::parse(&Bytes::from_static(b"{}")).expect("it is JSON")
    }

    /// Its waits, and the time after which it is given up, are those of the effect's lane, which may end at any of them.
    #[tokio::test(start_paused = true)]
    async fn an_event_on_which_an_agent_fails_has_one_attempt_at_a_time() {
        let answers = (0..6).map(|_| failed()).chain([busy()]).chain((0..14).map(|_| failed()));
        let script = Script { answers: Mutex::new(answers.collect()), ..Script::default() };
        let subscribers = subscribers(vec![subscriber("/e", 20, true)]);
        let id = Arc::<str>::from("turn-0");

        let began = Instant::now();
        for attempt in 1..=20 {
            let tried = subscribers.deliver_effect(&script, &id, ["p", "t"], &event()).await;
            assert!(matches!(tried, Err(Error::Unavailable(_))), "{attempt}: {tried:?}");
        }
        // It was busy once, and more often tried than an effect: neither ends it.
        assert_eq!(*script.dead_letters.lock(), 0);
        let last = subscribers.deliver_effect(&script, &id, ["p", "t"], &event()).await;
        assert!(last.is_ok(), "{last:?}");
        assert_eq!((*script.dead_letters.lock(), script.answers.lock().len()), (1, 0));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_without_a_dead_letter_topic_is_given_up_after_the_attempts_of_an_effect() {
        let script = Script { answers: Mutex::new((0..5).map(|_| failed()).collect()), ..Script::default() };
        let subscribers = subscribers(vec![subscriber("/e", 20, false)]);
        let id = Arc::<str>::from("turn-0");
        for attempt in 1..=5 {
            let tried = subscribers.deliver_effect(&script, &id, ["p", "t"], &event()).await;
            assert_eq!(matches!(tried, Err(Error::Other(_))), attempt == 5, "{attempt}: {tried:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_has_an_event_does_not_get_it_again_because_of_another_one() {
        let script = Script::default();
        let subscribers = subscribers(vec![subscriber("/a", 5, false), subscriber("/b", 5, false)]);
        let id = Arc::<str>::from("turn-0");
        // "/a" handles it, and "/b" does with the third attempt.
        script.answers.lock().extend([EventOutcome::Success, busy(), busy()]);
        for _ in 0..2 {
            let tried = subscribers.deliver_effect(&script, &id, ["p", "t"], &event()).await;
            assert!(matches!(tried, Err(Error::Unavailable(_))), "{tried:?}");
        }
        script.answers.lock().extend([EventOutcome::Success, failed()]);
        let tried = subscribers.deliver_effect(&script, &id, ["p", "t"], &event()).await;
        assert!(tried.is_ok(), "{tried:?}");
        assert_eq!(*script.answers.lock(), [failed()], "\"/a\" was not asked again");
        assert_eq!(subscribers.started.lock().len(), 0);
    }

    /// Its many attempts do not take hours, and one that can be dead-lettered is not lost.
    #[tokio::test(start_paused = true)]
    async fn an_event_of_the_host_itself_has_all_attempts_at_once() {
        let script = Script { answers: Mutex::new((0..5).map(|_| busy()).collect()), ..Script::default() };
        let busy = subscribers(vec![subscriber("/e", 20, false)]);
        let tried = busy.deliver_all(&script, "p", "t", &event()).await;
        assert!(matches!(tried, Err(Error::Other(_))), "{tried:?}");
        assert_eq!(script.answers.lock().len(), 0);

        script.answers.lock().extend((0..20).map(|_| failed()));
        let began = Instant::now();
        let failing = subscribers(vec![subscriber("/e", 20, true)]);
        let tried = failing.deliver_all(&script, "p", "t", &event()).await;
        assert!(tried.is_ok(), "{tried:?}");
        assert_eq!((*script.dead_letters.lock(), script.answers.lock().len()), (1, 0));
        assert!(began.elapsed() < 20 * MAX_WAIT, "{:?}", began.elapsed());
    }
}

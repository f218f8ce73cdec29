//! Calls that a sidecar may deliver more than once.
//!
//! When a change of hosts cuts a call off, the router of Dapr 1.16.2 and later sends it again, up to five times and a
//! second apart, even if its turn is still running here (`pkg/actors/router/router.go`, the policy
//! `DaprBuiltInActorNotFoundRetries`). A repeated call joins its turn while that waits or runs, and gets the kept
//! answer afterwards. It never starts a second turn on this host. Other hosts recognise such a call by what the turn
//! has committed ([`super::attempts`]).
//!
//! The record belongs to the host, not to the activation: an actor may leave and return between two deliveries.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{ActorAddress, CallError, attempts};
use daca_base::digest;

/// The time for which an answer is kept. The router gives up after about six seconds, a host after ten.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// The maximum number of answers that are kept.
const MAX_ANSWERS: usize = 65_536;
/// The maximum size of the kept replies in bytes.
const MAX_BYTES: usize = 32 << 20;

/// A reply, or the reason why there is none.
pub(super) type CallResult = Result<Bytes, CallError>;

/// Identifies one call of one actor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CallKey {
    actor: ActorAddress,
    /// A name that all deliveries of the call share.
    name: Arc<str>,
    kind: KeyKind,
}

/// How reliably the name identifies a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum KeyKind {
    /// Unique to the call: the same name is the same call.
    Mark,
    /// Other calls may have it. A call counts as the same only after the previous delivery was cut off.
    Trace,
    /// The next firing has the same name. A firing counts as the same only while its turn waits or runs.
    Firing,
}

impl CallKey {
    /// The key of a call with the mark of the host that makes it.
    pub(super) fn of_mark(actor: &ActorAddress, mark: &str) -> CallKey {
        CallKey::of_hash(actor, &attempts::hash(mark))
    }

    /// The key of the same call, from the hash of its mark in the actor's state.
    pub(super) fn of_hash(actor: &ActorAddress, hash: &attempts::Hash) -> CallKey {
        CallKey { actor: actor.clone(), name: hex::encode(hash).into(), kind: KeyKind::Mark }
    }

    /// The key of a firing of a reminder or timer, which has no unique name.
    pub(super) fn of_firing(actor: &ActorAddress, noun: &str, name: &str, data: &[u8]) -> CallKey {
        let name = digest::of_parts([noun.as_bytes(), name.as_bytes(), data]).into();
        CallKey { actor: actor.clone(), name, kind: KeyKind::Firing }
    }

    /// The key of a call of another program, from the span that the sidecar created for it and its content.
    pub(super) fn of_trace(actor: &ActorAddress, traceparent: &str, method: &str, payload: &[u8]) -> CallKey {
        let name = digest::of_parts([traceparent.as_bytes(), method.as_bytes(), payload]).into();
        CallKey { actor: actor.clone(), name, kind: KeyKind::Trace }
    }
}

/// The calls of this host that wait, run, or were answered recently.
#[derive(Debug, Default)]
pub(super) struct RecentCalls {
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    by_key: HashMap<CallKey, Call>,
    /// The kept answers, oldest first.
    kept: VecDeque<(Instant, CallKey)>,
    /// Bytes of their replies.
    bytes: usize,
}

#[derive(Debug)]
enum Call {
    /// There is no answer yet; these wait for it.
    Pending(Vec<oneshot::Sender<CallResult>>),
    /// With the size of the answer in bytes.
    Answered(CallResult, usize),
}

/// The state of a call when it is delivered.
pub(super) enum Delivery {
    /// First delivery: a turn must run, and report its end to the answer.
    First(Answer, oneshot::Receiver<CallResult>),
    /// The turn waits or runs.
    Joined(oneshot::Receiver<CallResult>),
    /// The turn has ended with this.
    Answered(CallResult),
    /// A separate call, although another one has the key.
    Separate,
}

impl RecentCalls {
    /// Registers a delivery of a call.
    pub(super) fn deliver(self: &Arc<Self>, key: CallKey) -> Delivery {
        let mut calls = self.lock();
        calls.forget_old(Instant::now());
        let (sender, receiver) = oneshot::channel();
        match calls.by_key.get_mut(&key) {
            Some(Call::Pending(waiting)) => {
                // A router that gives up and retries leaves its earlier deliveries behind.
                waiting.retain(|sender| !sender.is_closed());
                if key.kind == KeyKind::Trace && !waiting.is_empty() {
                    return Delivery::Separate;
                }
                waiting.push(sender);
                Delivery::Joined(receiver)
            }
            Some(Call::Answered(result, _)) => Delivery::Answered(result.clone()),
            None => {
                calls.by_key.insert(key.clone(), Call::Pending(vec![sender]));
                Delivery::First(Answer(Some(Kind::Shared { calls: self.clone(), key })), receiver)
            }
        }
    }

    /// Keeps the answer to a call that another host has handled.
    pub(super) fn keep(&self, key: CallKey, result: CallResult) {
        let mut calls = self.lock();
        if !calls.by_key.contains_key(&key) {
            calls.keep(key, result);
        }
    }

    /// Forgets a call that nobody waits for. Returns `true` if it did.
    fn forget_if_abandoned(&self, key: &CallKey) -> bool {
        let mut calls = self.lock();
        let is_abandoned = match calls.by_key.get(key) {
            Some(Call::Pending(waiting)) => waiting.iter().all(oneshot::Sender::is_closed),
            // It was answered, or belongs to another delivery.
            _ => return true,
        };
        if is_abandoned {
            calls.by_key.remove(key);
        }
        is_abandoned
    }

    fn finish(&self, key: &CallKey, result: &CallResult) {
        let mut calls = self.lock();
        let Some(waiting) = calls.take_pending(key) else { return };
        // Within the lock: a delivery that arrives now finds either the waiting ones or the answer.
        let mut is_received = false;
        for sender in waiting {
            is_received |= sender.send(result.clone()).is_ok();
        }
        let is_kept = match key.kind {
            KeyKind::Mark => true,
            KeyKind::Trace => !is_received,
            KeyKind::Firing => false,
        };
        if is_kept && is_final(result) {
            calls.keep(key.clone(), result.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    /// Removes a call without an answer, and returns those who wait for it. A kept answer stays.
    fn take_pending(&mut self, key: &CallKey) -> Option<Vec<oneshot::Sender<CallResult>>> {
        let Some(Call::Pending(waiting)) = self.by_key.get_mut(key) else { return None };
        let waiting = std::mem::take(waiting);
        self.by_key.remove(key);
        Some(waiting)
    }

    fn keep(&mut self, key: CallKey, result: CallResult) {
        let bytes = bytes(&result);
        self.bytes += bytes;
        self.kept.push_back((Instant::now(), key.clone()));
        self.by_key.insert(key, Call::Answered(result, bytes));
        while self.kept.len() > MAX_ANSWERS || self.bytes > MAX_BYTES {
            self.forget_oldest();
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|(at, _)| now.duration_since(*at) > KEPT_FOR) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, key)) = self.kept.pop_front() else { return };
        if let Some(Call::Answered(_, bytes)) = self.by_key.remove(&key) {
            self.bytes -= bytes;
        }
    }
}

/// The size of a kept answer in bytes. A failure contains the agent's text.
fn bytes(result: &CallResult) -> usize {
    match result {
        Ok(reply) => reply.len(),
        Err(error) => error.to_string().len(),
    }
}

/// Returns `true` if a later delivery gets the same answer. A call that was refused, or may not have happened, is
/// retried.
fn is_final(result: &CallResult) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => !(error.is_not_done() || error.is_refusal() || error.is_of_unknown_outcome()),
    }
}

/// The recipients of a call's answer. If it is dropped without an answer, they notice, and the call is forgotten.
pub(super) struct Answer(Option<Kind>);

enum Kind {
    /// The one who waits for it.
    One(oneshot::Sender<CallResult>),
    /// All deliveries of a call.
    Shared { calls: Arc<RecentCalls>, key: CallKey },
}

impl Answer {
    /// An answer for one delivery, and its receiver.
    pub(super) fn channel() -> (Answer, oneshot::Receiver<CallResult>) {
        let (sender, receiver) = oneshot::channel();
        (Answer(Some(Kind::One(sender))), receiver)
    }

    /// Returns `true` if nobody waits any more. The call is then forgotten, so that a later delivery starts afresh.
    pub(super) fn is_abandoned(&mut self) -> bool {
        let is_abandoned = match &self.0 {
            None => true,
            Some(Kind::One(sender)) => sender.is_closed(),
            Some(Kind::Shared { calls, key }) => calls.forget_if_abandoned(key),
        };
        if is_abandoned {
            // What is pending under the key from now on belongs to another delivery.
            self.0 = None;
        }
        is_abandoned
    }

    /// Answers everyone who waits.
    pub(super) fn send(mut self, result: CallResult) {
        match self.0.take() {
            None => {}
            Some(Kind::One(sender)) => {
                let _caller_may_be_gone = sender.send(result);
            }
            Some(Kind::Shared { calls, key }) => calls.finish(&key, &result),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(Kind::Shared { calls, key }) = &self.0 {
            drop(calls.lock().take_pending(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> CallKey {
        CallKey::of_mark(&"A/a".parse().expect("an address"), name)
    }

    fn first(calls: &Arc<RecentCalls>, name: &str) -> (Answer, oneshot::Receiver<CallResult>) {
        match calls.deliver(key(name)) {
            Delivery::First(answer, receiver) => (answer, receiver),
            _ => panic!("{name} was delivered before"),
        }
    }

    fn joined(calls: &Arc<RecentCalls>, name: &str) -> oneshot::Receiver<CallResult> {
        match calls.deliver(key(name)) {
            Delivery::Joined(receiver) => receiver,
            _ => panic!("{name} is not pending"),
        }
    }

    fn reply(result: CallResult) -> Bytes {
        result.expect("a reply")
    }

    #[tokio::test]
    async fn all_deliveries_of_a_call_get_the_answer_of_its_one_turn() {
        let calls = Arc::new(RecentCalls::default());
        let (mut answer, cut_off) = first(&calls, "a");
        drop(cut_off);
        let second = joined(&calls, "a");
        assert!(!answer.is_abandoned(), "a delivery waits");
        answer.send(Ok("once".into()));
        assert_eq!(reply(second.await.expect("an answer")), "once");
        let Delivery::Answered(kept) = calls.deliver(key("a")) else { panic!("the answer is kept") };
        assert_eq!(reply(kept), "once");
        calls.lock().forget_old(Instant::now() + KEPT_FOR + Duration::from_secs(1));
        drop(first(&calls, "a"));
    }

    #[tokio::test]
    async fn what_did_not_happen_is_not_kept_and_begins_anew() {
        let calls = Arc::new(RecentCalls::default());
        for error in [
            CallError::ShuttingDown,
            CallError::HostBusy(1),
            CallError::Backend(daca_model::backend::Error::NotDone("moved".into())),
            CallError::Backend(daca_model::backend::Error::Unavailable("lost".into())),
        ] {
            first(&calls, "a").0.send(Err(error));
        }
        first(&calls, "a").0.send(Err(CallError::Failed("no".into())));
        assert!(matches!(calls.deliver(key("a")), Delivery::Answered(Err(CallError::Failed(_)))));
    }

    /// The first delivery was cut off before its turn was in the queue.
    #[tokio::test]
    async fn a_call_whose_turn_never_began_begins_with_its_next_delivery() {
        let calls = Arc::new(RecentCalls::default());
        let (answer, _first) = first(&calls, "a");
        let second = joined(&calls, "a");
        drop(answer);
        assert!(second.await.is_err());
        drop(first(&calls, "a"));
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_is_forgotten() {
        let calls = Arc::new(RecentCalls::default());
        let (mut answer, receiver) = first(&calls, "a");
        assert!(!answer.is_abandoned());
        drop(receiver);
        assert!(answer.is_abandoned());
        // The next delivery is not disturbed by what is left of the one before.
        let (next, receiver) = first(&calls, "a");
        drop(answer);
        next.send(Ok("next".into()));
        assert_eq!(reply(receiver.await.expect("an answer")), "next");
    }

    #[tokio::test]
    async fn firings_are_joined_and_each_later_one_runs() {
        let calls = Arc::new(RecentCalls::default());
        let firing = || CallKey::of_firing(&"A/a".parse().expect("an address"), "timer", "t", b"");
        for _ in 0..2 {
            let Delivery::First(answer, receiver) = calls.deliver(firing()) else { panic!("it is new") };
            let Delivery::Joined(second) = calls.deliver(firing()) else { panic!("it runs") };
            answer.send(Ok(Bytes::new()));
            for receiver in [receiver, second] {
                reply(receiver.await.expect("an answer"));
            }
        }
    }

    /// Two equal calls of one trace are two calls, unless the first was cut off.
    #[tokio::test]
    async fn a_call_without_a_mark_comes_again_only_after_it_was_cut_off() {
        let calls = Arc::new(RecentCalls::default());
        let actor = "A/a".parse().expect("an address");
        let deliver = |payload: &[u8]| calls.deliver(CallKey::of_trace(&actor, "00-a-b-01", "Add", payload));
        let Delivery::First(answer, receiver) = deliver(b"1") else { panic!("it is new") };
        assert!(matches!(deliver(b"1"), Delivery::Separate));
        answer.send(Ok("1".into()));
        reply(receiver.await.expect("an answer"));
        let Delivery::First(answer, receiver) = deliver(b"1") else { panic!("it is another call") };
        drop(receiver);
        let Delivery::Joined(second) = deliver(b"1") else { panic!("it comes again") };
        assert!(matches!(deliver(b"2"), Delivery::First(..)));
        drop(second);
        answer.send(Ok("1".into()));
        assert!(matches!(deliver(b"1"), Delivery::Answered(Ok(_))));
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let calls = Arc::new(RecentCalls::default());
        let large = Bytes::from(vec![0; MAX_BYTES / 2]);
        for name in ["a", "b", "c"] {
            first(&calls, name).0.send(Ok(large.clone()));
        }
        drop(first(&calls, "a"));
        for name in ["b", "c"] {
            assert!(matches!(calls.deliver(key(name)), Delivery::Answered(Ok(_))), "{name}");
        }
        assert_eq!(calls.lock().bytes, 2 * large.len());
        first(&calls, "d").0.send(Err(CallError::Failed("x".repeat(10))));
        assert_eq!(calls.lock().bytes, 2 * large.len() + 10 - large.len());
    }
}

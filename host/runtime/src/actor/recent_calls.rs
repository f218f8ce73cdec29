//! Calls that a sidecar may deliver more than once.
//!
//! When a change of hosts cuts a call off, the router of Dapr 1.16.2 and later sends it again, up to five times and a second
//! apart, also when its turn is still running here (`pkg/actors/router/router.go`, the policy
//! `DaprBuiltInActorNotFoundRetries`). A call that comes again joins its turn while that waits or runs, and gets the kept answer
//! afterwards. It never starts a second turn on this host. Other hosts recognise such a call by what the turn has committed
//! ([`super::attempts`]).
//!
//! The record is the host's, not the activation's: an actor may leave and come back between two deliveries.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{ActorAddress, CallError, attempts};
use daca_base::digest;

/// How long an answer is kept. The router gives up after about six seconds, a host after ten.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Answers that are kept, at most.
const MAX_ANSWERS: usize = 65_536;
/// Bytes of the replies that are kept, at most.
const MAX_BYTES: usize = 32 << 20;

/// A reply, or why there is none.
pub(super) type CallResult = Result<Bytes, CallError>;

/// Names one call of one actor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CallKey {
    actor: ActorAddress,
    /// What all deliveries of the call have in common.
    name: Arc<str>,
    kind: KeyKind,
}

/// What the name of a call is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum KeyKind {
    /// It is the call's alone. Whatever has it is the same call.
    Mark,
    /// Other calls may have it. One is taken for the same only after the delivery before was cut off.
    Trace,
    /// The next firing has it in its own right. One is the same only while the turn of the firing waits or runs.
    Firing,
}

impl CallKey {
    /// A call that carries the mark of the host that makes it.
    pub(super) fn of_mark(actor: &ActorAddress, mark: &str) -> CallKey {
        CallKey::of_hash(actor, &attempts::hash(mark))
    }

    /// The same call, by what is kept of its mark in the actor's state.
    pub(super) fn of_hash(actor: &ActorAddress, hash: &attempts::Hash) -> CallKey {
        CallKey { actor: actor.clone(), name: hex::encode(hash).into(), kind: KeyKind::Mark }
    }

    /// A firing of a reminder or timer, which has nothing that names it among others.
    pub(super) fn of_firing(actor: &ActorAddress, noun: &str, name: &str, data: &[u8]) -> CallKey {
        let name = digest::of_parts([noun.as_bytes(), name.as_bytes(), data]).into();
        CallKey { actor: actor.clone(), name, kind: KeyKind::Firing }
    }

    /// A call of another program, by the span that the sidecar made for it and what it asks for.
    pub(super) fn of_trace(actor: &ActorAddress, traceparent: &str, method: &str, payload: &[u8]) -> CallKey {
        let name = digest::of_parts([traceparent.as_bytes(), method.as_bytes(), payload]).into();
        CallKey { actor: actor.clone(), name, kind: KeyKind::Trace }
    }
}

/// The calls of the host that wait, run, or were answered a moment ago.
#[derive(Debug, Default)]
pub(super) struct RecentCalls {
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    by_key: HashMap<CallKey, Call>,
    /// The kept answers, the oldest first.
    kept: VecDeque<(Instant, CallKey)>,
    /// Bytes of their replies.
    bytes: usize,
}

#[derive(Debug)]
enum Call {
    /// It has no answer yet; these wait for it.
    Pending(Vec<oneshot::Sender<CallResult>>),
    /// With the bytes that the answer holds.
    Answered(CallResult, usize),
}

/// What a delivery of a call finds.
pub(super) enum Delivery {
    /// It is the first: a turn must run, and its end be told with the answer.
    First(Answer, oneshot::Receiver<CallResult>),
    /// The turn waits or runs.
    Joined(oneshot::Receiver<CallResult>),
    /// The turn has ended with this.
    Answered(CallResult),
    /// It is a call of its own, and another one has the key.
    Separate,
}

impl RecentCalls {
    /// Takes a delivery of a call.
    pub(super) fn deliver(self: &Arc<Self>, key: CallKey) -> Delivery {
        let mut calls = self.lock();
        calls.forget_old(Instant::now());
        let (sender, receiver) = oneshot::channel();
        match calls.by_key.get_mut(&key) {
            Some(Call::Pending(waiting)) => {
                // A router that gives up and tries again leaves its earlier deliveries behind.
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
            // It was answered, or is another delivery's.
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
        // In the lock: a delivery that comes now finds either those who wait or the answer.
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
    /// Takes a call out that has no answer yet, with those who wait for it. An answer that is kept stays.
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

/// Bytes that a kept answer holds. A failure has the agent's words in it.
fn bytes(result: &CallResult) -> usize {
    match result {
        Ok(reply) => reply.len(),
        Err(error) => error.to_string().len(),
    }
}

/// Returns `true` if a later delivery gets the same answer. What was refused, or may not have happened, is tried again.
fn is_final(result: &CallResult) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => !(error.is_not_done() || error.is_refusal() || error.is_of_unknown_outcome()),
    }
}

/// Where the answer to a call goes. Dropped without one, those who wait see that, and the call is forgotten.
pub(super) struct Answer(Option<Kind>);

enum Kind {
    /// To the one who waits for it.
    One(oneshot::Sender<CallResult>),
    /// To all deliveries of a call.
    Shared { calls: Arc<RecentCalls>, key: CallKey },
}

impl Answer {
    /// An answer for one delivery, and where it arrives.
    pub(super) fn channel() -> (Answer, oneshot::Receiver<CallResult>) {
        let (sender, receiver) = oneshot::channel();
        (Answer(Some(Kind::One(sender))), receiver)
    }

    /// Returns `true` if nobody waits any more. The call is then forgotten, so that a later delivery begins anew.
    pub(super) fn is_abandoned(&mut self) -> bool {
        let is_abandoned = match &self.0 {
            None => true,
            Some(Kind::One(sender)) => sender.is_closed(),
            Some(Kind::Shared { calls, key }) => calls.forget_if_abandoned(key),
        };
        if is_abandoned {
            // What is pending under the key from now on is another delivery's.
            self.0 = None;
        }
        is_abandoned
    }

    /// Answers all who wait.
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
mod tests;

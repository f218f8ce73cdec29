//! Calls that the backend may deliver more than once.
//!
//! When a change of hosts interrupts a call, the backend may send it again for some seconds, even if its turn is still
//! running here. A repeated call joins its turn while that waits or runs, and gets the kept answer afterwards. It never
//! starts a second turn on this host. Other hosts recognise such a call by the dedup key that the turn has committed
//! ([`super::attempts`]).
//!
//! The record belongs to the host, not to the activation: an actor may leave and return between two deliveries.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{ActorAddress, CallError, attempts};
use daca_base::digest;

/// The time for which an answer is kept. A backend repeats a call for about six seconds, a host for ten.
const ANSWER_TTL: Duration = Duration::from_secs(30);
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

    /// The key of a call of another program, from the span that the backend created for it and its content.
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
    by_key: HashMap<CallKey, KnownCall>,
    /// The kept answers, oldest first.
    kept: VecDeque<(Instant, CallKey)>,
    /// Bytes of their replies.
    bytes: usize,
}

#[derive(Debug)]
enum KnownCall {
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
            Some(KnownCall::Pending(waiting)) => {
                // A router that gives up and retries leaves its earlier deliveries behind.
                waiting.retain(|sender| !sender.is_closed());
                if key.kind == KeyKind::Trace && !waiting.is_empty() {
                    return Delivery::Separate;
                }
                waiting.push(sender);
                Delivery::Joined(receiver)
            }
            Some(KnownCall::Answered(result, _)) => Delivery::Answered(result.clone()),
            None => {
                calls.by_key.insert(key.clone(), KnownCall::Pending(vec![sender]));
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
            Some(KnownCall::Pending(waiting)) => waiting.iter().all(oneshot::Sender::is_closed),
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
        self.calls.lock()
    }
}

impl Calls {
    /// Removes a call without an answer, and returns those who wait for it. A kept answer stays.
    fn take_pending(&mut self, key: &CallKey) -> Option<Vec<oneshot::Sender<CallResult>>> {
        let Some(KnownCall::Pending(waiting)) = self.by_key.get_mut(key) else { return None };
        let waiting = std::mem::take(waiting);
        self.by_key.remove(key);
        Some(waiting)
    }

    fn keep(&mut self, key: CallKey, result: CallResult) {
        let bytes = bytes(&result);
        self.bytes += bytes;
        self.kept.push_back((Instant::now(), key.clone()));
        self.by_key.insert(key, KnownCall::Answered(result, bytes));
        while self.kept.len() > MAX_ANSWERS || self.bytes > MAX_BYTES {
            self.forget_oldest();
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|(at, _)| now.duration_since(*at) > ANSWER_TTL) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, key)) = self.kept.pop_front() else { return };
        if let Some(KnownCall::Answered(_, bytes)) = self.by_key.remove(&key) {
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
        Err(error) => !(error.is_not_applied() || error.is_refusal() || error.is_of_unknown_outcome()),
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
                // The caller may be gone.
                sender.send(result).ok();
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

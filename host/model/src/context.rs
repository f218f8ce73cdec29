//! What travels with a call: who waits for its answer, and what Dapr's callbacks carried.

use std::sync::Arc;

use super::{ActorAddress, CallError};

/// Actors that wait for one another in a row, at most.
const DEEPEST_CHAIN: usize = 32;

/// Bytes of a key, at most.
const LONGEST_KEY: usize = 255;

/// What tells a call that comes again from a new one: an actor handles it once, however often it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallIdentity {
    /// A message of a broker, which delivers it until it is acknowledged: its place, as `BINDING/TOPIC/PARTITION/OFFSET/TIME`.
    Message(Arc<str>),
    /// A key that the caller has chosen (HTTP's `Idempotency-Key`, draft-ietf-httpapi-idempotency-key-header).
    Key(Arc<str>),
    /// One call that a host makes, by its mark: a sidecar may deliver it again, also to another host.
    Attempt(Arc<str>),
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must have 1 to {LONGEST_KEY} characters of printable ASCII")]
pub struct KeyError;

impl CallIdentity {
    /// A caller's key.
    pub fn of_key(key: &str) -> Result<CallIdentity, KeyError> {
        let is_usable =
            (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if is_usable { Ok(CallIdentity::Key(key.into())) } else { Err(KeyError) }
    }
}

/// Who waits for the answer to a call, and what is handed on to everything that the call leads to. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// Who called, who called the caller, and so on: the first caller comes first.
    pub waiting: Vec<ActorAddress>,
    /// The host itself calls, to deliver an event: part of what a shutdown and a backlog wait for.
    pub of_host: bool,
    /// The first of those who wait was woken by its sidecar, for a reminder or timer. Dapr's lock lets no call into such a
    /// turn again (`Lock` in `pkg/actors/targets/app/lock/lock.go`).
    pub is_woken: bool,
    /// The call was not sent by the sidecar: an actor that it has active here is served at once. Such a turn answers only as
    /// long as the sidecar vouches for the actor.
    pub is_direct: bool,
    /// The W3C trace context that the call belongs to, as it came.
    pub traceparent: Option<Arc<str>>,
    /// Calls with the same id may enter an actor that waits for one of them, if its type allows that
    /// (Dapr's header `Dapr-Reentrancy-Id`).
    pub reentrancy_id: Option<Arc<str>>,
    /// What the call is known by when it comes again. None for a call that is new each time.
    pub identity: Option<CallIdentity>,
    /// The mark of the host that makes the call. All deliveries of one call have the same, whatever their identity.
    pub mark: Option<Arc<str>>,
    /// The trace context in which a sidecar has delivered a call that has no mark: it makes a new one for each call, and keeps
    /// it when it delivers the call again.
    pub delivered_in: Option<Arc<str>>,
}

impl CallContext {
    /// The context of a call that the host itself makes.
    pub fn of_host() -> CallContext {
        CallContext { of_host: true, ..CallContext::default() }
    }

    /// True for a call from outside.
    pub fn is_from_outside(&self) -> bool {
        self.waiting.is_empty() && !self.of_host
    }

    /// The context for what `actor` calls: calls of their own, which the identity of its own call does not name.
    pub fn with(&self, actor: &ActorAddress) -> CallContext {
        CallContext {
            waiting: self.waiting.iter().chain([actor]).cloned().collect(),
            identity: None,
            mark: None,
            delivered_in: None,
            is_direct: false,
            ..self.clone()
        }
    }

    /// Refuses a call that could never be answered: one turn at a time means that an actor which waits cannot take it,
    /// unless its type may be entered again, `most_nested` turns of one actor deep.
    pub fn check(&self, callee: &ActorAddress, most_nested: Option<u32>) -> Result<(), CallError> {
        let nested = self.waiting.iter().filter(|waiting| *waiting == callee).count();
        match most_nested {
            None if nested > 0 => return Err(CallError::WaitsForItself(callee.clone())),
            Some(_) if self.is_woken && self.waiting.first() == Some(callee) => {
                return Err(CallError::WaitsForItself(callee.clone()));
            }
            Some(most) if nested >= most as usize => return Err(CallError::ChainTooDeep(nested)),
            _ => {}
        }
        if self.waiting.len() >= DEEPEST_CHAIN {
            return Err(CallError::ChainTooDeep(self.waiting.len()));
        }
        Ok(())
    }
}

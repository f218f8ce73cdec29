//! The context of a call: the actors that wait for its reply, and the values from Dapr's callbacks.

use std::sync::Arc;

use super::{ActorAddress, CallError};

/// The maximum length of a chain of actors that wait for one another.
const DEEPEST_CHAIN: usize = 32;

/// The maximum length of a key in bytes.
const MAX_KEY: usize = 255;

/// The beginning of an event's identity.
const EVENT: &str = "event:";

/// The beginning of the identity of a firing. A position of a message has four slashes.
const FIRING: &str = "firing/";

/// The identity by which a repeated call is recognised: an actor handles it once, however often it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallIdentity {
    /// A broker's message, which is delivered until it is acknowledged, by its position:
    /// `BINDING/TOPIC/PARTITION/OFFSET/TIME`; or an event ([`CallIdentity::of_event`]).
    Message(Arc<str>),
    /// A key that the caller chose (HTTP's `Idempotency-Key`, draft-ietf-httpapi-idempotency-key-header).
    Key(Arc<str>),
    /// A call made by a host, by its mark: a sidecar may deliver it again, also to another host.
    Attempt(Arc<str>),
}

/// Why a key is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must have 1 to {MAX_KEY} characters of printable ASCII")]
pub struct KeyError;

impl CallIdentity {
    /// The identity for a caller's key.
    pub fn of_key(key: &str) -> Result<CallIdentity, KeyError> {
        let is_usable =
            (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if is_usable { Ok(CallIdentity::Key(key.into())) } else { Err(KeyError) }
    }

    /// The identity of an event, from the hash of what names it.
    pub fn of_event(hash: &str) -> CallIdentity {
        CallIdentity::Message(format!("{EVENT}{hash}").into())
    }

    /// The identity of a reminder's only firing, from that of its registration.
    pub fn of_firing(registration: u128) -> CallIdentity {
        CallIdentity::Message(format!("{FIRING}{registration:032x}").into())
    }

    /// Returns `true` if this identity of a message is that of an event. A position has slashes, and a hash has none.
    pub fn is_event(message: &str) -> bool {
        message.starts_with(EVENT) && !message.contains('/')
    }
}

/// The actors that wait for the reply to a call, and the values that are passed on to all calls that it makes. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// The chain of callers, the first caller first.
    pub waiting: Vec<ActorAddress>,
    /// The host itself calls, to deliver an event. Such calls are part of what a shutdown and a backlog wait for.
    pub of_host: bool,
    /// The sidecar woke the first of the waiting actors for a reminder or timer. Dapr's lock does not admit a call back
    /// into such a turn (`Lock` in `pkg/actors/targets/app/lock/lock.go`).
    pub is_woken: bool,
    /// The chain began on this host with a reminder or timer. Of one that began on another host, [`CallContext::is_woken`]
    /// tells.
    pub is_after_wakeup: bool,
    /// A direct call: it did not come from the sidecar. An actor that is active here serves it at once. Such a turn
    /// replies only while the lease on the actor is valid.
    pub is_direct: bool,
    /// The W3C trace context of the call, as received.
    pub traceparent: Option<Arc<str>>,
    /// Calls with the same id may reenter an actor that waits for one of them, if its type allows it (Dapr's header
    /// `Dapr-Reentrancy-Id`).
    pub reentrancy_id: Option<Arc<str>>,
    /// The identity of a call that may be repeated; `None` for a call that is new each time.
    pub identity: Option<CallIdentity>,
    /// The mark of the host that makes the call. All deliveries of one call have the same mark, whatever their
    /// identity.
    pub mark: Option<Arc<str>>,
    /// The trace context in which a sidecar delivered a call without a mark. The sidecar creates a new one for each
    /// call, and keeps it when it delivers the call again.
    pub delivered_in: Option<Arc<str>>,
}

impl CallContext {
    /// The context of a call that the host itself makes.
    pub fn of_host() -> CallContext {
        CallContext { of_host: true, ..CallContext::default() }
    }

    /// Returns `true` for a call from outside.
    pub fn is_from_outside(&self) -> bool {
        self.waiting.is_empty() && !self.of_host
    }

    /// The context for the calls that `actor` makes. They are separate calls, so the identity of the actor's own call
    /// does not apply.
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

    /// Rejects a call that could never be answered. An actor runs one turn at a time, so a waiting actor cannot take
    /// the call, unless its type is reentrant, up to `most_nested` nested turns of one actor.
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

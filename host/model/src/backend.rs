//! The backend: the target of state, events, bindings and calls to other actors.
//!
//! There is one trait, [`Backend`], and one crate for each implementation, so that the same component and the same
//! manifest run on a laptop without any server and behind a Dapr sidecar. A backend moves bytes. `daca-runtime` checks
//! the permissions, and keeps order and retries of effects, before it calls the backend. [`Inbound`] is the opposite
//! direction, from a backend into the host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use daca_base::clock::Clock;

pub use crate::outbox::{EffectStatus, Outbox, OutboxCounts, OutboxEntry};
pub use crate::stored::stored_json;
use crate::{ActorAddress, CallContext, CallError, Topic};

/// The services that a turn needs. Implementations are shared by all turns and must not block a thread.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Returns the committed values of some keys of an actor, in the order of the keys. Expired values are absent.
    async fn read_state(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error>;

    /// Makes everything that a turn produced durable: all of it or nothing. After an ok it survives a crash of the
    /// process and of the machine. The effects are included for backends that store them with the state; sending them
    /// is not the task of this method.
    async fn commit(&self, actor: &ActorAddress, commit: &TurnCommit) -> Result<(), Error>;

    /// Confirms that this host owns an actor at this moment. Called before the reply of a read-only turn that did not
    /// come from the sidecar. [`Error::NotDone`] if the actor may be active elsewhere.
    async fn confirm_ownership(&self, _actor: &ActorAddress) -> Result<(), Error> {
        Ok(())
    }

    /// Attempts once to deliver consecutive effects, and returns a result for each. [`Error::Unavailable`] asks for a
    /// later retry. More than one effect is passed only if [`Backend::takes_together`] allowed it.
    async fn deliver(&self, actor: &ActorAddress, effects: &[&Effect]) -> Vec<Result<(), Error>>;

    /// Returns `true` if these two effects may be delivered in one request.
    fn takes_together(&self, _first: &EffectRequest, _next: &EffectRequest) -> bool {
        false
    }

    /// Calls an output binding and waits for its response.
    async fn invoke_binding(
        &self,
        actor: &ActorAddress,
        request: &BindingRequest,
        context: &CallContext,
    ) -> Result<BindingResponse, Error>;

    /// Calls a method of an actor on any host. `context` names the actors that wait for the reply.
    async fn call_actor(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError>;

    /// Returns a registered reminder or timer.
    async fn wakeup(&self, actor: &ActorAddress, key: &WakeupKey) -> Result<Option<Registration>, Error>;

    /// Reports that the turn of a fired reminder failed. A backend whose reminders do not fire again by themselves
    /// schedules a retry here.
    async fn reminder_failed(&self, _actor: &ActorAddress, _name: &str) {}

    /// Returns the values of a secret by key, or `None` if the secret does not exist.
    async fn secret(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Error>;

    /// Publishes an event for the host itself, and waits until the broker has accepted it.
    async fn publish(&self, topic: &Topic, event: Bytes) -> Result<(), Error>;

    /// Connects the host, and starts the backend's own tasks. Called once.
    fn start(&self, inbound: Arc<dyn Inbound>);

    /// Returns whether calls can be served. They cannot before the other side is available.
    fn readiness(&self) -> Readiness;

    /// The store that the hosts of this app share; `None` when there is only one host.
    fn shared(&self) -> Option<Arc<dyn SharedStore>> {
        None
    }

    /// The clock by which values expire and reminders are due. Whoever keeps values in memory goes by the same one, and what
    /// an agent sees of the time is its wall time.
    fn clock(&self) -> &Clock {
        Clock::of_process()
    }

    /// The ownership epoch. It changes when another host may have owned this host's actors in between. An activation
    /// must not trust what it knows from an earlier epoch.
    fn era(&self) -> u64 {
        0
    }

    /// Returns `true` if this host still owns, as far as the backend can tell, the actors that were called here in this
    /// ownership epoch.
    fn vouches(&self, _era: u64) -> bool {
        true
    }

    /// Starts draining: nothing new begins by itself. The shutdown has begun, and readiness is off. Waits until nobody
    /// sends calls here any more, as far as the backend can tell, but no longer than `patience`.
    async fn leave(&self, patience: Duration);

    /// Stops the backend's own tasks and makes everything durable. Called once, after the last turn.
    async fn shut_down(&self);
}

/// Values that all hosts of an app share, for what they must agree on. Not for actors: no permissions are checked here.
#[async_trait]
pub trait SharedStore: Send + Sync + 'static {
    /// Returns the values of some keys, in the order of the keys.
    async fn read(&self, keys: &[String]) -> Result<Vec<Option<SharedValue>>, Error>;

    /// Writes a value. With `expected`, only if the key has that etag, or does not exist yet for an `expected` without
    /// one.
    async fn write(
        &self,
        key: &str,
        value: Bytes,
        expected: Option<Option<&str>>,
    ) -> Result<(), SharedWriteError>;

    /// Removes a value. Removing a key that does not exist is not an error.
    async fn delete(&self, key: &str) -> Result<(), Error>;
}

/// A value that hosts share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedValue {
    /// The bytes.
    pub value: Bytes,
    /// Changes with every write.
    pub etag: String,
}

/// Why a shared value was not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SharedWriteError {
    /// Another host wrote first.
    #[error("another host has written in the meantime")]
    Conflict,
    /// It could not be written.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Whether calls can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// They can.
    Ready,
    /// They cannot yet, or not at the moment, for this reason.
    Waiting(&'static str),
}

/// Entry points for a backend into the host: calls, wake-ups and events that do not arrive over HTTP. The embedded
/// backend uses them; behind a sidecar the same things arrive as requests.
#[async_trait]
pub trait Inbound: Send + Sync + 'static {
    /// Runs a method of an actor of this host.
    async fn call(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError>;
    /// Runs a method of an actor that is active on this host and that the sidecar is known to place here. `None` if it
    /// is not. An error for which [`CallError::is_not_done`] holds leaves the call to the sidecar.
    async fn call_active(&self, call: ActorCall, context: CallContext) -> Option<Result<Bytes, CallError>>;
    /// Runs the turn of a due reminder or timer.
    async fn wake(&self, actor: ActorAddress, fired: FiredWakeup, data: Bytes) -> Result<(), CallError>;
    /// Delivers an event to one subscription, which is named by its path.
    async fn event(&self, path: &str, event: &Bytes) -> EventOutcome;
    /// Ends the attempts at an event on which the agent has failed as often as its subscription allows: dead-letters
    /// it, if there is a topic for that. Any outcome is the last one.
    async fn event_failed(&self, _path: &str, _event: &Bytes, reason: String) -> EventOutcome {
        EventOutcome::Failed(reason)
    }
}

/// The outcome of delivering an event to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOutcome {
    /// It was handled.
    Success,
    /// It can never be handled, for this reason.
    Drop(String),
    /// It could not be handled now, for this reason.
    Retry(String),
    /// The agent failed on it, for this reason. A retry may succeed.
    Failed(String),
}

/// Why a backend did not carry out a request. The cases are those of the contract.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The named item does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request is invalid, and repeating it will not help.
    #[error("{0}")]
    Invalid(String),
    /// A later attempt may succeed. It is unknown whether the request was carried out.
    #[error("{0}")]
    Unavailable(String),
    /// A later attempt may succeed. The request was certainly not carried out.
    #[error("{0}")]
    NotDone(String),
    /// The request exceeds a limit of the backend.
    #[error("{0}")]
    TooLarge(String),
    /// Any other error.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// Returns `true` if a retry may succeed.
    pub fn is_passing(&self) -> bool {
        matches!(self, Error::Unavailable(_) | Error::NotDone(_))
    }

    /// Converts the error of a step that precedes any change: nothing was done.
    pub fn before_anything(self) -> Error {
        match self {
            Error::Unavailable(text) => Error::NotDone(text),
            error => error,
        }
    }
}

/// A committed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateValue {
    /// The bytes.
    pub value: Bytes,
    /// When it expires.
    pub expiry: Expiry,
}

/// When a value expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Never; it must be deleted.
    Never,
    /// At this time.
    At(SystemTime),
    /// The store does not report it, so the value must be read again each time.
    Unknown,
}

/// Everything that a turn produced.
#[derive(Debug, Default)]
pub struct TurnCommit {
    /// State writes by key.
    pub writes: BTreeMap<String, StateWrite>,
    /// Changes of reminders and timers; `None` is a removal.
    pub wakeups: BTreeMap<WakeupKey, Option<Registration>>,
    /// The reminder or timer that this turn handled, if any.
    pub handled: Option<FiredWakeup>,
    /// This turn ends the actor's timers, because it deactivates an idle actor.
    pub ends_timers: bool,
    /// Events and sent bindings, in order.
    pub effects: Vec<Effect>,
}

impl TurnCommit {
    /// Returns `true` if nothing has to be made durable.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.wakeups.is_empty() && self.handled.is_none() && !self.ends_timers
    }
}

/// One state write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateWrite {
    /// A new value, without expiry or with one that counts from the commit.
    Set {
        /// The bytes.
        value: Bytes,
        /// How long it is kept.
        ttl: Option<Duration>,
    },
    /// A removal.
    Delete,
}

/// An effect: an external action that a turn requests and that happens after its commit.
#[derive(Debug, Clone)]
pub struct Effect {
    /// The requested action.
    pub request: EffectRequest,
    /// The log line after its delivery.
    pub delivered_line: Option<String>,
    /// The beginning of the log line if it is dropped.
    pub undeliverable_line: Option<String>,
    /// The trace context of the turn that requested it.
    pub traceparent: Option<Arc<str>>,
}

impl Effect {
    /// The size of its payload and log lines in bytes, for the bounds on what waits in memory.
    pub fn bytes(&self) -> usize {
        let lines = [&self.delivered_line, &self.undeliverable_line];
        self.request.bytes() + lines.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// The action of an effect.
#[derive(Debug, Clone)]
pub enum EffectRequest {
    /// Publish an event.
    Publish {
        /// The pub/sub component.
        pubsub: String,
        /// The topic.
        topic: String,
        /// The event's data.
        event: Bytes,
    },
    /// Call an output binding, one way.
    Send(BindingRequest),
}

impl EffectRequest {
    /// The size of its payload in bytes, for the bounds on what waits in memory.
    pub fn bytes(&self) -> usize {
        match self {
            EffectRequest::Publish { event, .. } => event.len(),
            EffectRequest::Send(request) => {
                let metadata = request.metadata.iter().map(|(name, value)| name.len() + value.len());
                request.data.len() + metadata.sum::<usize>()
            }
        }
    }
}

/// A request to an output binding.
#[derive(Debug, Clone)]
pub struct BindingRequest {
    /// The binding.
    pub name: String,
    /// Its operation.
    pub operation: String,
    /// The payload.
    pub data: Bytes,
    /// Its metadata: names and values.
    pub metadata: BTreeMap<String, String>,
}

/// The response of an output binding.
#[derive(Debug, Clone, Default)]
pub struct BindingResponse {
    /// The payload.
    pub data: Bytes,
    /// Its metadata: names and values.
    pub metadata: BTreeMap<String, String>,
}

/// A call of an actor's method.
#[derive(Debug, Clone)]
pub struct ActorCall {
    /// The actor.
    pub actor: ActorAddress,
    /// The method.
    pub method: String,
    /// The payload.
    pub payload: Bytes,
}

/// Reminder or timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WakeupKind {
    /// Durable until it is unregistered.
    Reminder,
    /// Lasts while the actor is active.
    Timer,
}

/// Names a reminder or timer of an actor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WakeupKey {
    /// Reminder or timer.
    pub kind: WakeupKind,
    /// Its name.
    pub name: String,
}

/// The registration of a reminder or timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// From the commit to the first firing.
    pub due: Duration,
    /// From one firing to the next.
    pub period: Option<Duration>,
    /// From the commit to the last possible firing.
    pub ttl: Option<Duration>,
    /// The data of each firing.
    pub data: Bytes,
}

/// One firing of a reminder or timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiredWakeup {
    /// The reminder or timer.
    pub key: WakeupKey,
    /// Identifies this registration and this firing among others of the same name. Only the backend uses it.
    pub token: u128,
}

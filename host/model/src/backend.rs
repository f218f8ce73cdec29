//! Where state, events, bindings and calls to other actors go.
//!
//! One trait, [`Backend`], and one file or folder for each implementation, so that the same component and the same
//! manifest run on a laptop without any server and behind a Dapr sidecar. A backend moves bytes: permissions are checked
//! before it is asked (in `daca-runtime`), and order and retries of effects are kept before it is asked (in
//! `daca-runtime`). What goes the other way, from a backend into the host, is [`Inbound`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use daca_base::clock::Clock;

pub use crate::outbox::{EffectStatus, Outbox, OutboxCounts, OutboxEntry};
pub use crate::stored::stored_json;
use crate::{ActorAddress, CallContext, CallError, Topic};

/// What a turn needs of the world. Implementations are shared by all turns and must not block a thread.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The committed values under some keys of an actor, in the order of the keys. Expired values are absent.
    async fn read_state(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error>;

    /// Makes everything that a turn produced last, all of it or nothing. After an ok it survives a crash of the process
    /// and of the machine. The effects are for a backend that keeps them with the state; sending them is not its task
    /// here.
    async fn commit(&self, actor: &ActorAddress, commit: &TurnCommit) -> Result<(), Error>;

    /// Makes sure that an actor lives on this host at this moment. Asked before the reply of a turn that only reads and that
    /// came without the sidecar. [`Error::NotDone`] when the actor may live elsewhere.
    async fn confirm_ownership(&self, _actor: &ActorAddress) -> Result<(), Error> {
        Ok(())
    }

    /// Tries once to deliver effects that follow each other, and answers for each. [`Error::Unavailable`] asks for another
    /// try later. More than one comes only where [`Backend::takes_together`] said so.
    async fn deliver(&self, actor: &ActorAddress, effects: &[&Effect]) -> Vec<Result<(), Error>>;

    /// May these two effects be delivered in one request?
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

    /// Calls a method of an actor, wherever it lives. `context` names the actors that wait for the answer.
    async fn call_actor(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError>;

    /// A registered reminder or timer.
    async fn wakeup(&self, actor: &ActorAddress, key: &WakeupKey) -> Result<Option<Registration>, Error>;

    /// A reminder has fired, and its turn failed. A backend that would not let it fire again sees to it here.
    async fn reminder_failed(&self, _actor: &ActorAddress, _name: &str) {}

    /// The values of a secret by key, or none when there is no such secret.
    async fn secret(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Error>;

    /// Publishes an event for the host itself, and waits until the broker has it.
    async fn publish(&self, topic: &Topic, event: Bytes) -> Result<(), Error>;

    /// Connects the host, and starts what the backend does by itself. Called once.
    fn start(&self, inbound: Arc<dyn Inbound>);

    /// Can calls be served? Not before the other side is there.
    fn readiness(&self) -> Readiness;

    /// What the hosts of this app share; none where there is one host alone.
    fn shared(&self) -> Option<Arc<dyn SharedStore>> {
        None
    }

    /// The clock by which values expire and reminders are due. Whoever keeps values in memory goes by the same one, and what
    /// an agent sees of the time is its wall time.
    fn clock(&self) -> &Clock {
        Clock::of_process()
    }

    /// Changes when another host may have had this host's actors in between. What an activation knows from before the
    /// change must not be trusted.
    fn era(&self) -> u64 {
        0
    }

    /// Is it certain, as far as anybody can tell, that the actors which were called here in this era live here now?
    fn vouches(&self, _era: u64) -> bool {
        true
    }

    /// Lets nothing more begin by itself: the shutdown has begun, and readiness is off. Waits until nobody sends calls here
    /// any more, as far as the backend can tell, and no longer than `patience`.
    async fn leave(&self, patience: Duration);

    /// Stops what the backend runs by itself and makes everything last. Called once, after the last turn.
    async fn shut_down(&self);
}

/// Values that all hosts of an app see, for what they have to agree on. Not for actors: nobody checks permissions here.
#[async_trait]
pub trait SharedStore: Send + Sync + 'static {
    /// The values under some keys, in the order of the keys.
    async fn read(&self, keys: &[String]) -> Result<Vec<Option<SharedValue>>, Error>;

    /// Writes a value. With `expected`, only if the key has that etag, or, for none, nothing yet.
    async fn write(
        &self,
        key: &str,
        value: Bytes,
        expected: Option<Option<&str>>,
    ) -> Result<(), SharedWriteError>;

    /// Removes a value. A key that does not exist is no error.
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
    /// Another host was faster.
    #[error("another host has written meanwhile")]
    Conflict,
    /// It could not be written.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Can calls be served?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// Not yet, or not at the moment, for this reason.
    Waiting(&'static str),
}

/// What a backend asks of the host: calls, wake-ups and events that do not arrive over HTTP. The embedded backend uses
/// it; behind a sidecar the same things arrive as requests.
#[async_trait]
pub trait Inbound: Send + Sync + 'static {
    /// Runs a method of an actor of this host.
    async fn call(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError>;
    /// Runs a method of an actor of this host that is active and that the sidecar is known to have here. None when it is not.
    /// An error for which [`CallError::is_not_done`] holds leaves the call to the sidecar.
    async fn call_active(&self, call: ActorCall, context: CallContext) -> Option<Result<Bytes, CallError>>;
    /// Runs the turn of a reminder or timer that is due.
    async fn wake(&self, actor: ActorAddress, fired: FiredWakeup, data: Bytes) -> Result<(), CallError>;
    /// Delivers an event to one subscription, given by the path that it names.
    async fn event(&self, path: &str, event: &Bytes) -> EventOutcome;
}

/// What became of an event that was delivered to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOutcome {
    /// It was handled.
    Success,
    /// It can never be handled, for this reason.
    Drop(String),
    /// It could not be handled now, for this reason.
    Retry(String),
    /// The agent failed at it, for this reason. It may succeed at another try.
    Failed(String),
}

/// Why a backend did not do what it was asked. The cases are those of the contract.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// What was named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// It makes no sense, and will not when it is repeated.
    #[error("{0}")]
    Invalid(String),
    /// It may work later. Whether it was done is not known.
    #[error("{0}")]
    Unavailable(String),
    /// It may work later, and was certainly not done.
    #[error("{0}")]
    NotDone(String),
    /// It exceeds a limit of the backend.
    #[error("{0}")]
    TooLarge(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// May the same succeed later?
    pub fn is_passing(&self) -> bool {
        matches!(self, Error::Unavailable(_) | Error::NotDone(_))
    }

    /// The same error of something that would have come first, so that nothing was done.
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
    /// When it ceases to exist.
    pub expiry: Expiry,
}

/// When a value ceases to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// When it is deleted.
    Never,
    /// By itself, at this time.
    At(SystemTime),
    /// The store does not tell, so that the value must be read anew each time.
    Unknown,
}

/// Everything that a turn produced.
#[derive(Debug, Default)]
pub struct TurnCommit {
    /// State writes by key.
    pub writes: BTreeMap<String, StateWrite>,
    /// Changes of reminders and timers; none stands for a removal.
    pub wakeups: BTreeMap<WakeupKey, Option<Registration>>,
    /// The reminder or timer that this turn handled, if it was one.
    pub handled: Option<FiredWakeup>,
    /// The actor's timers end with this turn: it was deactivated for being idle.
    pub ends_timers: bool,
    /// Events and sent bindings, in order.
    pub effects: Vec<Effect>,
}

impl TurnCommit {
    /// True when there is nothing that has to last.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.wakeups.is_empty() && self.handled.is_none() && !self.ends_timers
    }
}

/// One state write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateWrite {
    /// A new value, for ever or for a time counted from the commit.
    Set {
        /// The bytes.
        value: Bytes,
        /// How long it lasts.
        ttl: Option<Duration>,
    },
    /// A removal.
    Delete,
}

/// Something that a turn asks the outside to do after it has committed.
#[derive(Debug, Clone)]
pub struct Effect {
    /// What to do.
    pub request: EffectRequest,
    /// The log line for when it has been delivered.
    pub delivered_line: Option<String>,
    /// The beginning of the log line for when it was given up.
    pub undeliverable_line: Option<String>,
    /// The trace context of the turn that asked for it.
    pub traceparent: Option<Arc<str>>,
}

impl Effect {
    /// Bytes that it carries, with its log lines, for the bounds on what waits in memory.
    pub fn bytes(&self) -> usize {
        let lines = [&self.delivered_line, &self.undeliverable_line];
        self.request.bytes() + lines.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// What an effect does.
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
    /// Bytes that it carries, for the bounds on what waits in memory.
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
    /// Names and values beside it.
    pub metadata: BTreeMap<String, String>,
}

/// What an output binding answered.
#[derive(Debug, Clone, Default)]
pub struct BindingResponse {
    /// The payload.
    pub data: Bytes,
    /// Names and values beside it.
    pub metadata: BTreeMap<String, String>,
}

/// A call of one actor's method.
#[derive(Debug, Clone)]
pub struct ActorCall {
    /// Whom.
    pub actor: ActorAddress,
    /// Which method.
    pub method: String,
    /// With what.
    pub payload: Bytes,
}

/// Reminder or timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WakeupKind {
    /// Lasts until it is unregistered.
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

/// A reminder or timer as it was registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// From the commit to the first firing.
    pub due: Duration,
    /// From one firing to the next.
    pub period: Option<Duration>,
    /// From the commit to the end.
    pub ttl: Option<Duration>,
    /// What the firing carries.
    pub data: Bytes,
}

/// One firing of a reminder or timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiredWakeup {
    /// Which one.
    pub key: WakeupKey,
    /// Tells this registration and this firing from any other of the same name, for the backend alone.
    pub token: u128,
}

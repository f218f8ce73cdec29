//! The backend: the target of state, events, bindings, wake-ups and secrets.
//!
//! It is one trait for each of them, which [`Backend`] joins, and one crate for each implementation, so that the same
//! component and the same manifest run on a laptop without any server and behind a Dapr sidecar. A backend moves bytes.
//! `daca-runtime` checks the permissions, and keeps order and retries of effects, before it calls the backend.
//! [`Inbound`] is the opposite direction, from a backend into the host.
//!
//! Calls of other actors do not go to the backend: [`ActorCalls`] is the door to `daca-routing`, which knows whether
//! an actor is here.

mod error;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use daca_base::clock::Clock;
use daca_base::json::Document;
use daca_base::shares::SharedPool;

pub use self::error::Error;
use crate::backup::StateSnapshot;
pub use crate::effect::{
    BindingRequest, BindingResponse, Effect, EffectRequest, EffectScan, EffectScanPage, EffectTarget,
    FailedEffect, Tried,
};
pub use crate::host_entries::{HostEntries, HostEntry};
pub use crate::outbox::{EffectStatus, Outbox, OutboxCounts, OutboxEntry};
pub use crate::shared_store::{SharedStore, SharedValue, SharedWriteError, change_shared};
pub use crate::shown_effect::EffectKind;
pub use crate::stored::stored_json;
pub use crate::wakeup::{
    EFFECTS, EFFECTS_METHOD, EFFECTS_OF_ANOTHER, FiredWakeup, HOST_KEYS, Registration, WakeupKey, WakeupKind,
    begins_like_once_mark, effects_proxy, firing_data, of_effects_proxy, with_once_mark, without_once_mark,
};
use crate::{ActorAddress, CallContext, CallError, Topic};

/// The state of actors.
#[async_trait]
pub trait StateStore: Send + Sync + 'static {
    /// Returns the committed values of some keys of an actor, in the order of the keys. Expired values are absent.
    async fn read_state(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error>;

    /// The same for a caller that has no use for values of more than `most_bytes` together: what follows the value that
    /// exceeds them may be missing.
    async fn read_state_within(
        &self,
        actor: &ActorAddress,
        keys: &[String],
        _most_bytes: u64,
    ) -> Result<Vec<Option<StateValue>>, Error> {
        self.read_state(actor, keys).await
    }

    /// Makes everything that a turn produced durable: all of it or nothing. After an ok it survives a crash of the
    /// process and of the machine. The effects are among the writes: sending them is not the task of this method.
    async fn commit(&self, actor: &ActorAddress, commit: &TurnCommit) -> Result<(), Error>;

    /// The same, by a handle: a backend that hands the commit to another thread need not copy it. When this returns, the
    /// backend has no handle left.
    async fn commit_shared(&self, actor: &ActorAddress, commit: &Arc<TurnCommit>) -> Result<(), Error> {
        self.commit(actor, commit).await
    }

    /// The bytes that one commit may write ([`TurnCommit::bytes`]); `None` if the backend has no such bound.
    fn max_commit_bytes(&self) -> Option<u64> {
        None
    }

    /// The name of that bound, as it follows the words "the limit" in an error: the setting of the manifest, if there
    /// is one.
    fn commit_limit_name(&self) -> &'static str {
        "of a commit"
    }

    /// The clock by which values expire and reminders are due. Whoever keeps values in memory goes by the same one, and what
    /// an agent sees of the time is its wall time.
    fn clock(&self) -> &Clock {
        Clock::of_process()
    }
}

/// Output bindings that answer at once.
#[async_trait]
pub trait Bindings: Send + Sync + 'static {
    /// Calls an output binding and waits for its response.
    async fn invoke_binding(
        &self,
        actor: &ActorAddress,
        request: &BindingRequest,
        context: &CallContext,
    ) -> Result<BindingResponse, Error>;
}

/// Reminders and timers. A commit changes them ([`StateStore::commit`]). By themselves the methods answer for a backend
/// that keeps none, as that of a smoke test.
#[async_trait]
pub trait Wakeups: Send + Sync + 'static {
    /// Returns a registered reminder or timer.
    async fn wakeup(&self, _actor: &ActorAddress, _key: &WakeupKey) -> Result<Option<Registration>, Error> {
        Ok(None)
    }

    /// Reports that the turn of a fired reminder failed. A backend whose reminders do not fire again by themselves
    /// schedules a retry here.
    async fn reminder_failed(&self, _actor: &ActorAddress, _name: &str) {}

    /// Returns `true` if the host's own reminder of this actor's effects could not be registered: nothing wakes the actor
    /// for them.
    fn lacks_effect_reminder(&self, _actor: &ActorAddress) -> bool {
        false
    }
}

/// The secret store.
#[async_trait]
pub trait Secrets: Send + Sync + 'static {
    /// Returns the values of a secret by key, or `None` if the secret does not exist.
    async fn secret(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Error>;
}

/// The parts that a guest can reach while its turn runs. Implemented for everything that has the parts.
pub trait TurnBackend: StateStore + Bindings + Wakeups + Secrets {}

impl<T: StateStore + Bindings + Wakeups + Secrets> TurnBackend for T {}

/// The delivery of effects, after the commit, and of the host's own events.
#[async_trait]
pub trait EffectDelivery: Send + Sync + 'static {
    /// Tries to deliver consecutive effects, and returns a result for each. [`Error::Unavailable`] asks for a later
    /// retry. More than one effect is passed only if [`EffectDelivery::takes_together`] allowed it.
    async fn deliver(&self, actor: &ActorAddress, effects: &[&Effect]) -> Vec<Tried>;

    /// Delivers an effect that needs no wait and cannot fail. Returns `false` if this one does, and does nothing then.
    /// Called within the turn that requested the effect, so it must be quick.
    fn deliver_at_once(&self, _actor: &ActorAddress, _effect: &Effect) -> bool {
        false
    }

    /// Returns `true` if these two effects may be delivered in one request.
    fn takes_together(&self, _first: &EffectRequest, _next: &EffectRequest) -> bool {
        false
    }

    /// Publishes an event for the host itself, and waits until the broker has accepted it.
    async fn publish(&self, topic: &Topic, event: Bytes) -> Result<(), Error>;
}

/// The ownership of actors. The default methods are for a single host, which always owns all of them.
#[async_trait]
pub trait Ownership: Send + Sync + 'static {
    /// Confirms that this host owns an actor at this moment. Called before the reply of a read-only turn that did not
    /// come from the sidecar. [`Error::NotApplied`] if the actor may be active elsewhere.
    async fn confirm_ownership(&self, _actor: &ActorAddress) -> Result<(), Error> {
        Ok(())
    }

    /// The ownership epoch. It changes when another host may have owned this host's actors in between. An activation
    /// must not trust what it knows from an earlier epoch.
    fn epoch(&self) -> u64 {
        0
    }

    /// Returns `true` if this host still owns, as far as the backend can tell, the actors that were called here in this
    /// ownership epoch.
    fn is_lease_valid(&self, _epoch: u64) -> bool {
        true
    }

    /// The time for which, after an actor has come here, its previous host may still commit for it unnoticed. During
    /// it, what this host has read may be outdated. Zero if [`TurnCommit::unchanged`] is compared in the transaction.
    fn overlap(&self) -> Duration {
        Duration::ZERO
    }
}

/// The services that a host needs. Implementations are shared by all turns and must not block a thread. By themselves
/// the methods answer for a backend that has no tasks of its own, and no other side.
#[async_trait]
pub trait Backend: TurnBackend + EffectDelivery + Ownership {
    /// Connects the host, and starts the backend's own tasks. Called once.
    fn start(&self, _inbound: Arc<dyn Inbound>) {}

    /// Returns whether calls can be served. They cannot before the other side is available.
    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }

    /// The store that the hosts of this app share; `None` when there is only one host.
    fn shared(&self) -> Option<Arc<dyn SharedStore>> {
        None
    }

    /// A page of the actors whose state has pending effects or dead letters. `None` where nobody can list the keys of a
    /// store.
    async fn actors_with_effects(&self, _scan: EffectScan) -> Result<Option<EffectScanPage>, Error> {
        Ok(None)
    }

    /// The state of all actors at this instant, for a backup. `None` if it is in a store that is backed up by itself.
    async fn snapshot(&self) -> Result<Option<Box<dyn StateSnapshot>>, Error> {
        Ok(None)
    }

    /// What the agent types share in the backend itself.
    fn pools(&self) -> Vec<SharedPool> {
        Vec::new()
    }

    /// The bytes that the actors of a type have on disk, if the backend knows that.
    fn storage_of(&self, _agent_type: &str) -> Option<u64> {
        None
    }

    /// Starts draining: nothing new begins by itself. The shutdown has begun, and readiness is off. Waits until nobody
    /// sends calls here any more, as far as the backend can tell, but no longer than `timeout`.
    async fn leave(&self, _timeout: Duration) {}

    /// Stops the backend's own tasks and makes everything durable. Called once, after the last turn.
    async fn shut_down(&self) {}
}

/// Where the calls go that a turn makes of other actors. `daca-routing` implements it: the runtime does not know which
/// host has an actor.
#[async_trait]
pub trait ActorCalls: Send + Sync + 'static {
    /// Calls a method of an actor on any host. `context` names the actors that wait for the reply.
    async fn call_actor(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError>;
}

/// Whether calls can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// They can.
    Ready,
    /// They cannot yet, or not at the moment, for this reason.
    Waiting(&'static str),
}

/// Entry points for a backend into the host: wake-ups and events that do not arrive over HTTP. The embedded backend
/// uses them; behind a sidecar the same things arrive as requests.
#[async_trait]
pub trait Inbound: Send + Sync + 'static {
    /// Runs the turn of a due reminder or timer.
    async fn wake(&self, actor: ActorAddress, fired: FiredWakeup, data: Bytes) -> Result<(), CallError>;
    /// Delivers an event to one subscription, which is named by its path.
    async fn event(&self, path: &str, event: &Document) -> EventOutcome;
    /// Ends the attempts at an event on which the agent has failed as often as its subscription allows: dead-letters
    /// it, if there is a topic for that. Any outcome is the last one.
    async fn event_failed(&self, _path: &str, _event: &Document, reason: String) -> EventOutcome {
        EventOutcome::Failed(reason)
    }

    /// Takes a line of the backend's about an agent, with so many bytes of the agent's, out of what the agents of its type
    /// may log. Returns `false` if the line is to be dropped.
    fn may_log(&self, _agent_type: &str, _bytes: usize) -> bool {
        true
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
#[derive(Debug, Clone, Default)]
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
    /// A value that must still be stored like this, or nothing is applied ([`Error::NotApplied`]). A backend that
    /// cannot compare within its transaction ignores it, and has an [`Ownership::overlap`].
    pub unchanged: Option<StoredAs>,
}

impl TurnCommit {
    /// Returns `true` if nothing has to be made durable.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.wakeups.is_empty() && self.handled.is_none() && !self.ends_timers
    }

    /// The bytes of its writes in one message, or a little more.
    pub fn bytes(&self) -> u64 {
        /// What a message has around each key and value, a time to live included.
        const AROUND: usize = 96;
        let bytes = self.writes.iter().map(|(key, write)| match write {
            StateWrite::Set { value, .. } => key.len() + value.len() + AROUND,
            StateWrite::Delete => key.len() + AROUND,
        });
        bytes.sum::<usize>() as u64
    }
}

/// A value as it was read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAs {
    /// Its key.
    pub key: String,
    /// The bytes; `None` if there are none.
    pub value: Option<Bytes>,
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

//! A backend for unit tests: state in a map, deliveries and commits with results that a test determines, and reads that it
//! holds or fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use daca_base::clock::{Clock, Reading};
use daca_model::backend::{
    ActorCall, ActorCalls, Backend, BindingRequest, BindingResponse, Bindings, Effect, EffectDelivery,
    EffectRequest, Error, Expiry, Ownership, Secrets, StateStore, StateValue, StateWrite, StoredAs, Tried,
    TurnCommit, WakeupKey, Wakeups,
};
use daca_model::{ActorAddress, CallContext, CallError, Topic};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedRwLockWriteGuard, RwLock};
use tokio::time::Instant;

/// The test's result of a delivery, by the effect's name.
type Delivery = dyn Fn(&str) -> Result<(), Error> + Send + Sync;
/// The test's result of a commit.
type Commit = dyn Fn(&TurnCommit) -> Result<(), Error> + Send + Sync;

/// The time for which another host may commit, too, behind a sidecar.
pub(crate) const OVERLAP: Duration = Duration::from_secs(15);

/// The topic whose events are taken in one request.
pub(crate) const TOGETHER: &str = "together";
/// The topic whose events need no wait.
pub(crate) const AT_ONCE: &str = "at-once";
/// The topic of which it panics when it is asked that.
pub(crate) const DEFECT: &str = "defect";

/// The backend.
pub(crate) struct FakeBackend {
    state: Mutex<BTreeMap<(ActorAddress, String), Bytes>>,
    /// The registered reminders and timers.
    wakeups: Mutex<BTreeSet<(ActorAddress, WakeupKey)>>,
    delivery: Box<Delivery>,
    commit: Box<Commit>,
    observed: Observed,
    holds: Holds,
    behaviour: Behaviour,
    epoch: AtomicU64,
    clock: Clock,
}

/// What a test can ask afterwards.
#[derive(Default)]
struct Observed {
    /// Every delivery attempt, in order: the effect's name.
    tried: Mutex<Vec<String>>,
    /// The number of reads of state.
    reads: AtomicU64,
    /// The keys of those that did not fail.
    keys: Mutex<Vec<Vec<String>>>,
    /// Registrations of reminders and timers.
    registrations: AtomicU64,
    /// The number of commits.
    commits: AtomicU64,
}

/// What a test can stop for a while.
#[derive(Default)]
struct Holds {
    /// Written by a test that holds the reads of state.
    reads: Arc<RwLock<()>>,
    /// Written by a test that holds the deliveries.
    deliveries: Arc<RwLock<()>>,
    /// Notified when a read is held.
    held: Notify,
}

/// What a test can switch on.
#[derive(Default)]
struct Behaviour {
    reads_fail: AtomicBool,
    /// It compares no values, as a sidecar.
    is_sidecar: AtomicBool,
    lacks_reminders: AtomicBool,
    leases_ended: AtomicBool,
    /// The bytes that a commit may have; 0 for no bound.
    max_commit_bytes: AtomicU64,
}

impl FakeBackend {
    /// Keeps and delivers everything.
    pub(crate) fn sound() -> Arc<FakeBackend> {
        FakeBackend::delivering(|_| Ok(()))
    }

    /// Keeps everything, and delivers with the results of `delivery`.
    pub(crate) fn delivering(
        delivery: impl Fn(&str) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Arc<FakeBackend> {
        FakeBackend::new(Box::new(delivery), Box::new(|_| Ok(())), pausable())
    }

    /// The same with another clock than that of the process.
    pub(crate) fn delivering_at(
        clock: Clock,
        delivery: impl Fn(&str) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Arc<FakeBackend> {
        FakeBackend::new(Box::new(delivery), Box::new(|_| Ok(())), clock)
    }

    /// Delivers everything, and commits with the results of `commit`: failed commits are kept, too, as if only the
    /// answer were lost.
    pub(crate) fn committing(
        commit: impl Fn(&TurnCommit) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Arc<FakeBackend> {
        FakeBackend::new(Box::new(|_| Ok(())), Box::new(commit), pausable())
    }

    fn new(delivery: Box<Delivery>, commit: Box<Commit>, clock: Clock) -> Arc<FakeBackend> {
        Arc::new(FakeBackend {
            state: Mutex::default(),
            wakeups: Mutex::default(),
            delivery,
            commit,
            observed: Observed::default(),
            holds: Holds::default(),
            behaviour: Behaviour::default(),
            epoch: AtomicU64::new(0),
            clock,
        })
    }

    /// The names of the attempted effects, in order.
    pub(crate) fn tried(&self) -> Vec<String> {
        self.observed.tried.lock().clone()
    }

    /// The names of an actor's reminders and timers.
    pub(crate) fn wakeups(&self, actor: &ActorAddress) -> Vec<String> {
        let wakeups = self.wakeups.lock();
        wakeups.iter().filter(|(owner, _)| owner == actor).map(|(_, key)| key.name.clone()).collect()
    }

    /// The stored value of a key, as text.
    pub(crate) fn value(&self, actor: &ActorAddress, key: &str) -> Option<String> {
        let state = self.state.lock();
        let value = state.get(&(actor.clone(), key.to_owned()))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Holds every read of state until the guard is dropped.
    pub(crate) async fn hold_reads(&self) -> OwnedRwLockWriteGuard<()> {
        self.holds.reads.clone().write_owned().await
    }

    /// Holds every delivery until the guard is dropped.
    pub(crate) async fn hold_deliveries(&self) -> OwnedRwLockWriteGuard<()> {
        self.holds.deliveries.clone().write_owned().await
    }

    /// Waits until a read is held.
    pub(crate) async fn has_held(&self) {
        self.holds.held.notified().await;
    }

    /// From now on reads fail, or do no longer.
    pub(crate) fn fail_reads(&self, fail: bool) {
        self.behaviour.reads_fail.store(fail, Ordering::Relaxed);
    }

    /// The number of reads of state.
    pub(crate) fn reads(&self) -> u64 {
        self.observed.reads.load(Ordering::Relaxed)
    }

    /// From now on no commit compares a value, and other hosts may commit for some time.
    pub(crate) fn behave_like_a_sidecar(&self) {
        self.behaviour.is_sidecar.store(true, Ordering::Relaxed);
    }

    /// From now on nothing wakes an actor for its effects.
    pub(crate) fn lack_reminders(&self) {
        self.behaviour.lacks_reminders.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if the value that the commit takes for granted is stored.
    fn is_unchanged(&self, actor: &ActorAddress, commit: &TurnCommit) -> bool {
        let Some(StoredAs { key, value }) = &commit.unchanged else { return true };
        let state = self.state.lock();
        self.behaviour.is_sidecar.load(Ordering::Relaxed)
            || state.get(&(actor.clone(), key.clone())) == value.as_ref()
    }

    /// How often this key was read.
    pub(crate) fn reads_of(&self, key: &str) -> usize {
        self.observed.keys.lock().iter().filter(|keys| keys.iter().any(|one| one == key)).count()
    }

    /// How many reminders and timers were registered.
    pub(crate) fn registrations(&self) -> u64 {
        self.observed.registrations.load(Ordering::Relaxed)
    }

    /// The number of commits, whatever became of them.
    pub(crate) fn commits(&self) -> u64 {
        self.observed.commits.load(Ordering::Relaxed)
    }

    /// From now on a commit may have so many bytes.
    pub(crate) fn limit_commits(&self, bytes: u64) {
        self.behaviour.max_commit_bytes.store(bytes, Ordering::Relaxed);
    }

    /// From now on the last answer of the backend is too old for a lease.
    pub(crate) fn end_leases(&self) {
        self.behaviour.leases_ended.store(true, Ordering::Relaxed);
    }

    /// Begins another ownership epoch: another host may have owned the actors in between.
    pub(crate) fn begin_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
    }
}

/// A clock that goes on with tokio's, which a test pauses.
fn pausable() -> Clock {
    let started = Instant::now();
    Clock::new(move || Reading { wall: SystemTime::now(), monotonic: started.elapsed() })
}

/// An event with a name for a test.
pub(crate) fn event(name: &str) -> Effect {
    let request =
        EffectRequest::Publish { pubsub: "p".into(), topic: "t".into(), event: Bytes::from(name.to_owned()) };
    Effect {
        id: Effect::id_of(name, 0),
        request,
        delivered_line: None,
        undeliverable_line: None,
        traceparent: None,
        after_failure: false,
    }
}

fn name(effect: &Effect) -> String {
    match &effect.request {
        EffectRequest::Publish { event, .. } => String::from_utf8_lossy(event).into_owned(),
        EffectRequest::Send(request) => request.name.clone(),
    }
}

#[async_trait]
impl StateStore for FakeBackend {
    async fn read_state(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error> {
        if self.holds.reads.try_read().is_err() {
            self.holds.held.notify_one();
        }
        let _not_held = self.holds.reads.read().await;
        self.observed.reads.fetch_add(1, Ordering::Relaxed);
        if self.behaviour.reads_fail.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("the state cannot be read".into()));
        }
        self.observed.keys.lock().push(keys.to_vec());
        let state = self.state.lock();
        let value = |key: &String| {
            let value = state.get(&(actor.clone(), key.clone()))?.clone();
            Some(StateValue { value, expiry: Expiry::Never })
        };
        Ok(keys.iter().map(value).collect())
    }

    async fn commit(&self, actor: &ActorAddress, commit: &TurnCommit) -> Result<(), Error> {
        self.observed.commits.fetch_add(1, Ordering::Relaxed);
        if !self.is_unchanged(actor, commit) {
            return Err(Error::NotApplied("a value has changed".into()));
        }
        let answer = (self.commit)(commit);
        if matches!(answer, Err(Error::NotApplied(_))) {
            return answer;
        }
        let mut wakeups = self.wakeups.lock();
        for (key, registration) in &commit.wakeups {
            let key = (actor.clone(), key.clone());
            match registration {
                Some(_) => {
                    self.observed.registrations.fetch_add(1, Ordering::Relaxed);
                    wakeups.insert(key)
                }
                None => wakeups.remove(&key),
            };
        }
        let mut state = self.state.lock();
        for (key, write) in &commit.writes {
            let key = (actor.clone(), key.clone());
            match write {
                StateWrite::Set { value, .. } => state.insert(key, value.clone()),
                StateWrite::Delete => state.remove(&key),
            };
        }
        answer
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn max_commit_bytes(&self) -> Option<u64> {
        Some(self.behaviour.max_commit_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
    }
}

#[async_trait]
impl EffectDelivery for FakeBackend {
    async fn deliver(&self, _: &ActorAddress, effects: &[&Effect]) -> Vec<Tried> {
        let _not_held = self.holds.deliveries.read().await;
        let names = effects.iter().map(|effect| name(effect)).collect::<Vec<_>>();
        self.observed.tried.lock().extend(names.iter().cloned());
        names.iter().map(|name| (self.delivery)(name).into()).collect()
    }

    fn deliver_at_once(&self, _: &ActorAddress, effect: &Effect) -> bool {
        let is_at_once = matches!(&effect.request, EffectRequest::Publish { topic, .. } if topic == AT_ONCE);
        if is_at_once {
            self.observed.tried.lock().push(name(effect));
        }
        is_at_once
    }

    fn takes_together(&self, first: &EffectRequest, next: &EffectRequest) -> bool {
        assert!(!matches!(first, EffectRequest::Publish { topic, .. } if topic == DEFECT), "a defect");
        [first, next]
            .into_iter()
            .all(|request| matches!(request, EffectRequest::Publish { topic, .. } if topic == TOGETHER))
    }

    async fn publish(&self, _: &Topic, _: Bytes) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl Bindings for FakeBackend {
    async fn invoke_binding(
        &self,
        _: &ActorAddress,
        _: &BindingRequest,
        _: &CallContext,
    ) -> Result<BindingResponse, Error> {
        Ok(BindingResponse::default())
    }
}

impl Wakeups for FakeBackend {
    fn lacks_effect_reminder(&self, _: &ActorAddress) -> bool {
        self.behaviour.lacks_reminders.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Secrets for FakeBackend {
    async fn secret(&self, _: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        Ok(None)
    }
}

impl Ownership for FakeBackend {
    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    fn is_lease_valid(&self, _: u64) -> bool {
        !self.behaviour.leases_ended.load(Ordering::Relaxed)
    }

    fn overlap(&self) -> Duration {
        if self.behaviour.is_sidecar.load(Ordering::Relaxed) { OVERLAP } else { Duration::ZERO }
    }
}

#[async_trait]
impl ActorCalls for FakeBackend {
    async fn call_actor(&self, call: ActorCall, _: CallContext) -> Result<Bytes, CallError> {
        Err(CallError::UnknownAgentType(call.actor.agent_type.to_string()))
    }
}

impl Backend for FakeBackend {}

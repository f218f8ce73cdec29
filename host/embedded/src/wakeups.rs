//! The clock of the embedded backend: fires reminders and timers when they are due.
//!
//! Registrations are in the state file; this list only has when each fires next. A firing is removed from the list when
//! it is handed to the actor, and returns with the commit of its turn, which also advances the registration. So a crash
//! in between fires it again, and a committed turn is never repeated.
//!
//! Of one actor there is one firing at a time: its turns run one after the other, and those that wait would hold places.
//! The agent types share the places by their weights.
//!
//! The waits are short, because a machine's timer does not notice that its clock was set or that it slept: the time is
//! read again at least once in [`POLL_INTERVAL`] ([`daca_base::clock`] describes these cases).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::store::Store;
use super::transaction::{Due, ScheduleChange};
use daca_base::ErrorCode;
use daca_base::backoff::Backoff;
use daca_base::clock::{Clock, millis};
use daca_base::shares::{SharePermit, SharedPool, Weights};
use daca_base::task;
use daca_model::ActorAddress;
use daca_model::backend::{FiredWakeup, Inbound, TurnCommit, WakeupKey, WakeupKind};

/// Firings that are handled at the same time; further ones wait for a place.
const CONCURRENT: usize = 256;
/// The attempts of one firing of a periodic reminder; then it waits for its next time. A one-shot reminder is retried
/// until it succeeds.
const ATTEMPTS: u32 = 8;
/// The waits before retries.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
/// The wait of a firing that is to be skipped, and cannot be, because nothing can be written.
const SKIP_RETRY_DELAY: Duration = Duration::from_secs(60);
/// The longest wait before the time is read again.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The next firing of each reminder and timer.
pub(super) struct Schedule {
    inner: Mutex<Inner>,
    changed: Notify,
    /// A firing has ended.
    ended: Notify,
    places: SharedPool,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Inner {
    /// The actors of each type of which no firing is under way, by the times of their first ones.
    ready: BTreeMap<Arc<str>, BTreeSet<(u64, ActorAddress)>>,
    by_actor: BTreeMap<ActorAddress, BTreeSet<(u64, WakeupKey)>>,
    by_name: BTreeMap<(ActorAddress, WakeupKey), Due>,
    /// The attempts of firings that have failed.
    failed_attempts: BTreeMap<(ActorAddress, WakeupKey), u32>,
    /// The actors of which a firing is under way.
    firing: BTreeSet<ActorAddress>,
}

impl Inner {
    fn first_of(&self, actor: &ActorAddress) -> Option<u64> {
        self.by_actor.get(actor)?.first().map(|(at, _)| *at)
    }

    /// Takes an actor out of the list of those that are ready, before a change of its registrations.
    fn unlist(&mut self, actor: &ActorAddress) {
        if let Some(at) = self.first_of(actor)
            && let Some(ready) = self.ready.get_mut(&actor.agent_type)
        {
            ready.remove(&(at, actor.clone()));
        }
    }

    /// Puts it there after the change.
    fn list(&mut self, actor: &ActorAddress) {
        if self.firing.contains(actor) {
            return;
        }
        if let Some(at) = self.first_of(actor) {
            self.ready.entry(actor.agent_type.clone()).or_default().insert((at, actor.clone()));
        }
    }

    fn insert(&mut self, actor: ActorAddress, key: WakeupKey, due: Due) {
        self.by_actor.entry(actor.clone()).or_default().insert((due.at, key.clone()));
        self.by_name.insert((actor, key), due);
    }

    fn remove(&mut self, actor: &ActorAddress, key: &WakeupKey) -> Option<Due> {
        let name = (actor.clone(), key.clone());
        let due = self.by_name.remove(&name)?;
        if let Some(of_actor) = self.by_actor.get_mut(actor) {
            of_actor.remove(&(due.at, key.clone()));
            if of_actor.is_empty() {
                self.by_actor.remove(actor);
            }
        }
        Some(due)
    }

    /// The first one of each type that is not being handled, the earliest first.
    fn firsts(&self) -> Vec<(u64, ActorAddress)> {
        let mut firsts = self.ready.values().filter_map(|ready| ready.first().cloned()).collect::<Vec<_>>();
        firsts.sort();
        firsts
    }
}

/// A due firing.
#[derive(Debug)]
struct Firing {
    actor: ActorAddress,
    fired: FiredWakeup,
    /// The number of this attempt, counted from 1.
    attempt: u32,
    /// Its place, until it is under way.
    place: Option<SharePermit>,
}

impl Firing {
    /// The same, without its place.
    fn again(&self) -> Firing {
        let Firing { actor, fired, attempt, .. } = self;
        Firing { actor: actor.clone(), fired: fired.clone(), attempt: *attempt, place: None }
    }
}

impl Schedule {
    /// An empty one.
    pub(super) fn new(clock: Clock, weights: &Weights) -> Schedule {
        let places = SharedPool::new("firing places", CONCURRENT, weights);
        Schedule { inner: Mutex::default(), changed: Notify::new(), ended: Notify::new(), places, clock }
    }

    /// The places of firings.
    pub(super) fn places(&self) -> &SharedPool {
        &self.places
    }

    /// Applies the changes of a commit, or of the state file at the start.
    pub(super) fn apply(&self, changes: Vec<ScheduleChange>) {
        if changes.is_empty() {
            return;
        }
        let mut inner = self.lock();
        for ScheduleChange { actor, key, next } in changes {
            inner.failed_attempts.remove(&(actor.clone(), key.clone()));
            inner.unlist(&actor);
            inner.remove(&actor, &key);
            if let Some(due) = next {
                inner.insert(actor.clone(), key, due);
            }
            inner.list(&actor);
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// Makes the list what the file is, for registrations of which nobody knows whether a commit has changed them. Before a
    /// firing the file is read, and one without a token is of no registration: that of the file takes its place, if there is
    /// one. A firing that waits for a retry does the same by itself, and must not come earlier: its turn may fail as this
    /// one has.
    pub(super) fn look_up<'k>(&self, actor: &ActorAddress, keys: impl Iterator<Item = &'k WakeupKey>) {
        let at = self.clock.unix_ms();
        let inner = self.lock();
        let is_retried = |key: &WakeupKey| {
            let name = (actor.clone(), key.clone());
            inner.by_name.contains_key(&name) && inner.failed_attempts.contains_key(&name)
        };
        let changes = keys.filter(|key| !is_retried(key)).map(|key| ScheduleChange {
            actor: actor.clone(),
            key: key.clone(),
            next: Some(Due { at, token: 0 }),
        });
        let changes = changes.collect();
        drop(inner);
        self.apply(changes);
    }

    /// Returns `true` if the actor has a timer.
    pub(super) fn has_timers(&self, actor: &ActorAddress) -> bool {
        let first = (actor.clone(), WakeupKey { kind: WakeupKind::Timer, name: String::new() });
        let inner = self.lock();
        inner.by_name.range(first..).next().is_some_and(|((owner, _), _)| owner == actor)
    }

    /// Takes the earliest due one, or returns the wait before the next check; `None` waits only for a change.
    fn take_due(&self) -> Result<Firing, Option<Duration>> {
        let mut inner = self.lock();
        let now = self.clock.unix_ms();
        let firsts = inner.firsts();
        if firsts.is_empty() {
            return Err(None);
        }
        for (_, actor) in firsts.iter().filter(|(at, _)| *at <= now) {
            // Another type may have a place left. The end of a firing is a change, and is looked at.
            let Ok(place) = self.places.try_acquire(&actor.agent_type, 1) else { continue };
            let key =
                inner.by_actor.get(actor).and_then(|of_actor| of_actor.first()).map(|(_, key)| key.clone());
            let Some(key) = key else { continue };
            inner.unlist(actor);
            let token = inner.remove(actor, &key).map_or(0, |due| due.token);
            let failed = inner.failed_attempts.get(&(actor.clone(), key.clone()));
            let attempt = failed.map_or(1, |failed| failed + 1);
            inner.firing.insert(actor.clone());
            let fired = FiredWakeup { key, token };
            return Ok(Firing { actor: actor.clone(), fired, attempt, place: Some(place) });
        }
        let next = firsts.iter().map(|(at, _)| at.saturating_sub(now)).find(|wait| *wait > 0);
        Err(Some(next.map_or(POLL_INTERVAL, Duration::from_millis).min(POLL_INTERVAL)))
    }

    /// Puts a failed firing back, for a retry after a wait. It delays no other one in the meantime.
    fn retry(&self, firing: Firing, wait: Duration) {
        let at = self.clock.unix_ms().saturating_add(millis(wait));
        let Firing { actor, fired, attempt, .. } = firing;
        let name = (actor.clone(), fired.key.clone());
        let mut inner = self.lock();
        // It was registered again in the meantime: that one fires by itself.
        if inner.by_name.contains_key(&name) {
            return;
        }
        inner.failed_attempts.insert(name, attempt);
        inner.unlist(&actor);
        inner.insert(actor.clone(), fired.key, Due { at, token: fired.token });
        inner.list(&actor);
        drop(inner);
        self.changed.notify_one();
    }

    /// When the next one fires that is not being handled, in milliseconds since 1970.
    pub(super) fn next_at(&self) -> Option<u64> {
        let inner = self.lock();
        let behind_a_firing = inner.firing.iter().filter_map(|actor| inner.first_of(actor));
        inner.firsts().into_iter().map(|(at, _)| at).chain(behind_a_firing).min()
    }

    /// Returns `true` if nothing is due and no firing is under way.
    pub(super) fn is_settled(&self) -> bool {
        let inner = self.lock();
        inner.firing.is_empty() && inner.firsts().first().is_none_or(|(at, _)| *at > self.clock.unix_ms())
    }

    /// Looks at the clock at once, and waits until everything that is due has been handled. What failed waits for another try.
    pub(super) async fn settled(&self) {
        self.changed.notify_one();
        loop {
            let ended = self.ended.notified();
            if self.is_settled() {
                return;
            }
            ended.await;
        }
    }

    /// Forgets a void firing.
    fn forget(&self, firing: &Firing) {
        self.lock().failed_attempts.remove(&(firing.actor.clone(), firing.fired.key.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

/// Fires due reminders and timers until the shutdown begins.
pub(super) async fn run(
    schedule: Arc<Schedule>,
    store: Store,
    inbound: Arc<dyn Inbound>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    loop {
        let mut due = tokio::select! {
            due = next_due(&schedule) => due,
            () = shutdown.cancelled() => return,
        };
        let (store, schedule, inbound) = (store.clone(), schedule.clone(), inbound.clone());
        tasks.spawn(async move {
            let under_way = UnderWay::begin(&schedule, &mut due);
            let (again, wait) = (due.again(), BACKOFF.after(due.attempt));
            // The list has it no more, and the file still does.
            if !task::ended_well("a firing", fire(&schedule, &store, &*inbound, due)).await {
                schedule.retry(again, wait);
            }
            drop(under_way);
        });
    }
}

/// A firing that was taken. It ends with this value, whatever became of it.
struct UnderWay<'a> {
    schedule: &'a Schedule,
    actor: ActorAddress,
    place: Option<SharePermit>,
}

impl<'a> UnderWay<'a> {
    fn begin(schedule: &'a Schedule, firing: &mut Firing) -> UnderWay<'a> {
        UnderWay { schedule, actor: firing.actor.clone(), place: firing.place.take() }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut inner = self.schedule.lock();
        inner.firing.remove(&self.actor);
        inner.list(&self.actor);
        drop(inner);
        // Before anybody looks for one.
        drop(self.place.take());
        self.schedule.changed.notify_one();
        self.schedule.ended.notify_waiters();
    }
}

/// Waits for the next firing. Dropping the future loses nothing: a firing is taken in the last step.
async fn next_due(schedule: &Schedule) -> Firing {
    loop {
        match schedule.take_due() {
            Ok(due) => return due,
            Err(None) => schedule.changed.notified().await,
            Err(Some(wait)) => {
                let _either = tokio::time::timeout(wait, schedule.changed.notified()).await;
            }
        }
    }
}

async fn fire(schedule: &Schedule, store: &Store, inbound: &dyn Inbound, firing: Firing) {
    let Firing { actor, fired, attempt, .. } = &firing;
    let (error, may_skip) = match store.wakeup(actor, &fired.key).await {
        // Unregistered or registered again since it was taken.
        Ok(None) => return schedule.forget(&firing),
        Ok(Some((_, due))) if due.token != fired.token => {
            let change = ScheduleChange { actor: actor.clone(), key: fired.key.clone(), next: Some(due) };
            return schedule.apply(vec![change]);
        }
        Ok(Some((registration, _))) => {
            let is_periodic = registration.period.is_some();
            match inbound.wake(actor.clone(), fired.clone(), registration.data).await {
                Ok(()) => return,
                Err(error) => {
                    let gives_up =
                        fired.key.kind == WakeupKind::Timer || (is_periodic && *attempt >= ATTEMPTS);
                    // A refusal of the host is not an attempt: the guest has not seen the firing.
                    (error.to_string(), gives_up && !error.is_refusal())
                }
            }
        }
        Err(error) => (error.to_string(), false),
    };
    let name = daca_base::telemetry::printable(&fired.key.name);
    let error = daca_base::telemetry::printable(&error);
    // The agent can fail as often as its timers fire, with its own words.
    if inbound.may_log(&actor.agent_type, name.len() + error.len()) {
        tracing::warn!(
            agent_type = %actor.agent_type, actor_id = %actor.id, attempt,
            "{name:?} fired and failed: {error}"
        );
    }
    if may_skip {
        return give_up(schedule, store, inbound, firing).await;
    }
    let wait = BACKOFF.after(*attempt);
    schedule.retry(firing, wait);
}

/// Advances a registration without its turn, so that it is not suspended forever. If that fails, the firing comes again: the
/// list does not have it any more.
async fn give_up(schedule: &Schedule, store: &Store, inbound: &dyn Inbound, firing: Firing) {
    let Firing { actor, fired, .. } = &firing;
    let name = &fired.key.name;
    if inbound.may_log(&actor.agent_type, name.len()) {
        tracing::error!(
            code = ErrorCode::WakeupGivenUp.as_str(), agent_type = %actor.agent_type, actor_id = %actor.id,
            "{name:?} fired, failed, and is skipped this time"
        );
    }
    let commit = TurnCommit { handled: Some(fired.clone()), ..TurnCommit::default() };
    match store.commit(actor, &commit.into()).await {
        Ok(changes) => schedule.apply(changes),
        Err(error) => {
            tracing::error!("{name:?} cannot be skipped, and fires again in {SKIP_RETRY_DELAY:?}: {error}");
            schedule.retry(firing, SKIP_RETRY_DELAY);
        }
    }
}

#[cfg(test)]
mod tests;

//! The clock of the embedded backend: fires reminders and timers when they are due.
//!
//! What is registered lies in the state file; here is only when each fires next. A firing is taken off this list when it
//! is handed to the actor, and comes back with the commit of its turn, which also moves the registration on. So a crash
//! in between fires it again, and a turn that was kept is never repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::store::Store;
use super::transaction::{Due, ScheduleChange, unix_ms};
use crate::actor::ActorAddress;
use crate::backend::{FiredWakeup, Inbound, TurnCommit, WakeupKey, WakeupKind};

/// Firings that are handled at the same time; further ones wait for a place.
const CONCURRENT: usize = 256;
/// Tries of one firing of a reminder. Then it is skipped, and a periodic one waits for its next time.
const ATTEMPTS: u32 = 8;
/// The wait before the second try; each further wait is twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// When each reminder and timer fires next.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    by_time: BTreeSet<(u64, ActorAddress, WakeupKey)>,
    by_name: BTreeMap<(ActorAddress, WakeupKey), Due>,
}

impl Schedule {
    /// Takes over what a commit changed, or what the state file held at the start.
    pub(super) fn apply(&self, changes: Vec<ScheduleChange>) {
        if changes.is_empty() {
            return;
        }
        let mut inner = self.lock();
        for ScheduleChange { actor, key, next } in changes {
            let name = (actor.clone(), key.clone());
            if let Some(old) = inner.by_name.remove(&name) {
                inner.by_time.remove(&(old.at, actor.clone(), key.clone()));
            }
            if let Some(due) = next {
                inner.by_time.insert((due.at, actor, key));
                inner.by_name.insert(name, due);
            }
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// Has the actor a timer?
    pub(super) fn has_timers(&self, actor: &ActorAddress) -> bool {
        let first = (actor.clone(), WakeupKey { kind: WakeupKind::Timer, name: String::new() });
        let inner = self.lock();
        inner.by_name.range(first..).next().is_some_and(|((owner, _), _)| owner == actor)
    }

    /// Takes the earliest one that is due, or says how long to wait for it.
    fn take_due(&self, now: u64) -> Result<(ActorAddress, FiredWakeup), Option<Duration>> {
        let mut inner = self.lock();
        let Some((at, ..)) = inner.by_time.first() else { return Err(None) };
        if *at > now {
            return Err(Some(Duration::from_millis(at - now)));
        }
        let Some((_, actor, key)) = inner.by_time.pop_first() else { return Err(None) };
        let due = inner.by_name.remove(&(actor.clone(), key.clone()));
        Ok((actor, FiredWakeup { key, token: due.map_or(0, |due| due.token) }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fires what is due until the shutdown begins.
pub(super) async fn run(
    schedule: Arc<Schedule>,
    store: Store,
    inbound: Arc<dyn Inbound>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONCURRENT));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let due = tokio::select! {
            due = next_due(&schedule) => due,
            () = shutdown.cancelled() => return,
        };
        let (actor, fired) = due;
        let (store, schedule, inbound) = (store.clone(), schedule.clone(), inbound.clone());
        let shutdown = shutdown.clone();
        tasks.spawn(async move {
            fire(&schedule, &store, &*inbound, actor, fired, &shutdown).await;
            drop(place);
        });
    }
}

/// Waits for the next firing. Dropping the future loses nothing: a firing is taken in the last step.
async fn next_due(schedule: &Schedule) -> (ActorAddress, FiredWakeup) {
    loop {
        match schedule.take_due(unix_ms(SystemTime::now())) {
            Ok(due) => return due,
            Err(None) => schedule.changed.notified().await,
            Err(Some(wait)) => {
                let _either = tokio::time::timeout(wait, schedule.changed.notified()).await;
            }
        }
    }
}

async fn fire(
    schedule: &Schedule,
    store: &Store,
    inbound: &dyn Inbound,
    actor: ActorAddress,
    fired: FiredWakeup,
    shutdown: &CancellationToken,
) {
    let mut wait = FIRST_RETRY;
    let attempts = if fired.key.kind == WakeupKind::Timer { 1 } else { ATTEMPTS };
    for attempt in 1..=attempts {
        let name = &fired.key.name;
        let error = match store.wakeup(&actor, &fired.key).await {
            // Unregistered or registered anew since it was taken.
            Ok(None) => return,
            Ok(Some((_, due))) if due.token != fired.token => return,
            Ok(Some((registration, _))) => {
                match inbound.wake(actor.clone(), fired.clone(), registration.data).await {
                    Ok(()) => return,
                    Err(error) => error.to_string(),
                }
            }
            Err(error) => error.to_string(),
        };
        tracing::warn!(agent_type = %actor.agent_type, actor_id = %actor.id, attempt, "{name:?} fired and failed: {error}");
        tokio::select! {
            () = tokio::time::sleep(wait) => wait *= 2,
            // It is still in the state file and fires again after the restart.
            () = shutdown.cancelled() => return,
        }
    }
    give_up(schedule, store, &actor, fired).await;
}

/// Moves a registration on without its turn, so that it does not stand still for ever.
async fn give_up(schedule: &Schedule, store: &Store, actor: &ActorAddress, fired: FiredWakeup) {
    let name = fired.key.name.clone();
    tracing::error!(
        code = "wakeup-given-up", agent_type = %actor.agent_type, actor_id = %actor.id,
        "{name:?} fired, failed, and is skipped this time"
    );
    match store.commit(actor, &TurnCommit { handled: Some(fired), ..TurnCommit::default() }).await {
        Ok(changes) => schedule.apply(changes),
        Err(error) => tracing::error!("{name:?} stands still until the restart: {error}"),
    }
}

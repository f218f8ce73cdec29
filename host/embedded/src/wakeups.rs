//! The clock of the embedded backend: fires reminders and timers when they are due.
//!
//! Registrations are in the state file; this list only has when each fires next. A firing is removed from the list when
//! it is handed to the actor, and returns with the commit of its turn, which also advances the registration. So a crash
//! in between fires it again, and a committed turn is never repeated.
//!
//! The waits are short, because a machine's timer does not notice that its clock was set or that it slept: the time is
//! read again at least once in [`POLL_INTERVAL`] ([`daca_base::clock`] describes these cases).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::store::Store;
use super::transaction::{Due, ScheduleChange};
use daca_base::ErrorCode;
use daca_base::backoff::Backoff;
use daca_base::clock::{Clock, millis};
use daca_model::ActorAddress;
use daca_model::backend::{FiredWakeup, Inbound, TurnCommit, WakeupKey, WakeupKind};

/// Firings that are handled at the same time; further ones wait for a permit.
const CONCURRENT: usize = 256;
/// The attempts of one firing of a periodic reminder; then it waits for its next time. A one-shot reminder is retried
/// until it succeeds.
const ATTEMPTS: u32 = 8;
/// The waits before retries.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
/// The longest wait before the time is read again.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The next firing of each reminder and timer.
pub(super) struct Schedule {
    inner: Mutex<Inner>,
    changed: Notify,
    /// A firing has ended.
    ended: Notify,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Inner {
    by_time: BTreeSet<(u64, ActorAddress, WakeupKey)>,
    by_name: BTreeMap<(ActorAddress, WakeupKey), Due>,
    /// The attempts of firings that have failed.
    failed_attempts: BTreeMap<(ActorAddress, WakeupKey), u32>,
    /// Firings that are under way.
    firing: usize,
}

/// A due firing.
#[derive(Debug)]
struct Firing {
    actor: ActorAddress,
    fired: FiredWakeup,
    /// The number of this attempt, counted from 1.
    attempt: u32,
}

impl Schedule {
    /// An empty one.
    pub(super) fn new(clock: Clock) -> Schedule {
        Schedule { inner: Mutex::default(), changed: Notify::new(), ended: Notify::new(), clock }
    }

    /// Applies the changes of a commit, or of the state file at the start.
    pub(super) fn apply(&self, changes: Vec<ScheduleChange>) {
        if changes.is_empty() {
            return;
        }
        let mut inner = self.lock();
        for ScheduleChange { actor, key, next } in changes {
            let name = (actor.clone(), key.clone());
            inner.failed_attempts.remove(&name);
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

    /// Returns `true` if the actor has a timer.
    pub(super) fn has_timers(&self, actor: &ActorAddress) -> bool {
        let first = (actor.clone(), WakeupKey { kind: WakeupKind::Timer, name: String::new() });
        let inner = self.lock();
        inner.by_name.range(first..).next().is_some_and(|((owner, _), _)| owner == actor)
    }

    /// Takes the earliest due one, or returns the wait before the next check; `None` waits only for a change.
    fn take_due(&self) -> Result<Firing, Option<Duration>> {
        let mut inner = self.lock();
        let Some((at, ..)) = inner.by_time.first() else { return Err(None) };
        let now = self.clock.unix_ms();
        if *at > now {
            return Err(Some(Duration::from_millis(at - now).min(POLL_INTERVAL)));
        }
        let Some((_, actor, key)) = inner.by_time.pop_first() else { return Err(None) };
        let name = (actor.clone(), key.clone());
        let token = inner.by_name.remove(&name).map_or(0, |due| due.token);
        let attempt = inner.failed_attempts.get(&name).map_or(1, |failed| failed + 1);
        inner.firing += 1;
        Ok(Firing { actor, fired: FiredWakeup { key, token }, attempt })
    }

    /// Puts a failed firing back, for a retry after a wait. It delays no other one in the meantime.
    fn retry(&self, firing: Firing, wait: Duration) {
        let at = self.clock.unix_ms().saturating_add(millis(wait));
        let Firing { actor, fired, attempt } = firing;
        let name = (actor.clone(), fired.key.clone());
        let mut inner = self.lock();
        // It was registered again in the meantime: that one fires by itself.
        if inner.by_name.contains_key(&name) {
            return;
        }
        inner.failed_attempts.insert(name.clone(), attempt);
        inner.by_time.insert((at, actor, fired.key));
        inner.by_name.insert(name, Due { at, token: fired.token });
        drop(inner);
        self.changed.notify_one();
    }

    /// When the next one fires that is not being handled, in milliseconds since 1970.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.lock().by_time.first().map(|(at, ..)| *at)
    }

    /// Returns `true` if nothing is due and no firing is under way.
    pub(super) fn is_settled(&self) -> bool {
        let inner = self.lock();
        inner.firing == 0 && inner.by_time.first().is_none_or(|(at, ..)| *at > self.clock.unix_ms())
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
    let places = Arc::new(Semaphore::new(CONCURRENT));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let due = tokio::select! {
            due = next_due(&schedule) => due,
            () = shutdown.cancelled() => return,
        };
        let (store, schedule, inbound) = (store.clone(), schedule.clone(), inbound.clone());
        tasks.spawn(async move {
            let under_way = UnderWay(&schedule);
            fire(&schedule, &store, &*inbound, due).await;
            drop((under_way, place));
        });
    }
}

/// A firing that was taken. It ends with this value, whatever became of it.
struct UnderWay<'a>(&'a Schedule);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().firing -= 1;
        self.0.ended.notify_waiters();
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
    let Firing { actor, fired, attempt } = &firing;
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
    tracing::warn!(agent_type = %actor.agent_type, actor_id = %actor.id, attempt, "{name:?} fired and failed: {error}");
    if may_skip {
        return give_up(schedule, store, actor, fired.clone()).await;
    }
    let wait = BACKOFF.after(*attempt);
    schedule.retry(firing, wait);
}

/// Advances a registration without its turn, so that it is not suspended forever.
async fn give_up(schedule: &Schedule, store: &Store, actor: &ActorAddress, fired: FiredWakeup) {
    let name = fired.key.name.clone();
    tracing::error!(
        code = ErrorCode::WakeupGivenUp.as_str(), agent_type = %actor.agent_type, actor_id = %actor.id,
        "{name:?} fired, failed, and is skipped this time"
    );
    match store.commit(actor, &TurnCommit { handled: Some(fired), ..TurnCommit::default() }).await {
        Ok(changes) => schedule.apply(changes),
        Err(error) => tracing::error!("{name:?} is suspended until the restart: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daca_base::clock::moved::Machine;

    const START: u64 = 1_000_000_000_000;
    const HOUR: Duration = Duration::from_secs(3600);

    fn key(name: &str) -> WakeupKey {
        WakeupKey { kind: WakeupKind::Reminder, name: name.to_owned() }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A schedule on a machine, with reminders that are due so many seconds after its start.
    fn schedule(machine: &Machine, due: &[(&str, u64)]) -> Schedule {
        let schedule = Schedule::new(machine.clock());
        let actor = ActorAddress::unchecked("A", "a");
        let change = |(name, seconds): &(&str, u64)| ScheduleChange {
            actor: actor.clone(),
            key: key(name),
            next: Some(Due { at: START + seconds * 1_000, token: 0 }),
        };
        schedule.apply(due.iter().map(change).collect());
        schedule
    }

    /// The wake-ups that fire now, and the wait until the next.
    fn look(schedule: &Schedule) -> (Vec<String>, Option<Duration>) {
        let mut fired = Vec::new();
        loop {
            match schedule.take_due() {
                Ok(firing) => fired.push(firing.fired.key.name),
                Err(wait) => return (fired, wait),
            }
        }
    }

    #[test]
    fn what_became_due_while_the_machine_slept_fires_at_the_next_look() {
        let machine = Machine::at(START);
        let schedule = schedule(&machine, &[("soon", 20), ("later", 90)]);
        machine.pass(seconds(1));
        assert_eq!(look(&schedule), (vec![], Some(POLL_INTERVAL)));
        machine.sleep(seconds(60));
        assert_eq!(look(&schedule), (vec!["soon".to_owned()], Some(POLL_INTERVAL)));
        machine.pass(Duration::from_millis(28_500));
        assert_eq!(look(&schedule), (vec![], Some(Duration::from_millis(500))));
        machine.pass(seconds(1));
        assert_eq!(look(&schedule), (vec!["later".to_owned()], None));
    }

    #[test]
    fn what_is_due_or_being_handled_has_not_settled() {
        let machine = Machine::at(START);
        let schedule = schedule(&machine, &[("soon", 20)]);
        assert!(schedule.is_settled());
        machine.pass(seconds(20));
        assert!(!schedule.is_settled(), "it is due");
        let firing = schedule.take_due().expect("it is due");
        assert!(!schedule.is_settled(), "it is being handled");
        schedule.forget(&firing);
        drop(UnderWay(&schedule));
        assert!(schedule.is_settled());
    }

    #[test]
    fn nothing_stands_still_when_the_clock_is_set_back() {
        let machine = Machine::at(START);
        let schedule = schedule(&machine, &[("once", 20), ("again", 1)]);
        machine.pass(seconds(1));
        let again = schedule.take_due().expect("it is due");
        machine.set_back(HOUR);
        schedule.retry(again, seconds(2));
        machine.pass(seconds(2));
        assert_eq!(look(&schedule), (vec!["again".to_owned()], Some(POLL_INTERVAL)));
        machine.pass(seconds(16));
        assert_eq!(look(&schedule), (vec![], Some(POLL_INTERVAL)));
        machine.pass(seconds(1));
        assert_eq!(look(&schedule), (vec!["once".to_owned()], None));
    }
}

//! The timers of this host's active actors. The sidecar keeps them in memory, as long as the actor is active here, and
//! cannot be asked for them, so registrations are recorded here. Their number is bounded for each actor, and their bytes
//! are a part of the host's budget of memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daca_base::memory::{MemoryBudget, MemoryKind, Reservation};
use daca_manifest::Manifest;
use daca_model::ActorAddress;
use daca_model::backend::{Error, Registration, TurnCommit, WakeupKind};
use parking_lot::{Mutex, MutexGuard};

/// The bytes of a recorded timer beside its name and data.
const TIMER: u64 = 256;
/// The time after which the firing of a one-shot timer has certainly ended, with its wait in the actor's queue. A failed
/// one is not repeated, and nobody says that it failed.
const FIRING: Duration = Duration::from_secs(10 * 60);

/// The recorded timers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Timers(Arc<Shared>);

struct Shared {
    /// The most timers of an actor, by its type.
    limits: HashMap<Arc<str>, usize>,
    memory: MemoryBudget,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    /// The ownership epoch that they belong to: they end with it.
    epoch: u64,
    actors: HashMap<ActorAddress, OfActor>,
}

/// The timers of one actor.
struct OfActor {
    timers: HashMap<String, NotedTimer>,
    reserved: Reservation,
}

struct NotedTimer {
    registration: Registration,
    registered: Instant,
}

impl Timers {
    /// No timers yet.
    pub(super) fn new(manifest: &Manifest, memory: MemoryBudget) -> Timers {
        let limits = manifest.agents.values().map(|agent| (agent.name.clone(), agent.limits.registrations));
        Timers::within(limits.collect(), memory)
    }

    /// The same with these limits.
    pub(super) fn within(limits: HashMap<Arc<str>, usize>, memory: MemoryBudget) -> Timers {
        Timers(Arc::new(Shared { limits, memory, noted: Mutex::default() }))
    }

    /// Checks the timers that a turn registers, before anything is registered. Their memory is reserved as long as the
    /// result is held: until they are noted.
    pub(super) fn admit(
        &self,
        epoch: u64,
        actor: &ActorAddress,
        commit: &TurnCommit,
    ) -> Result<Option<Reservation>, Error> {
        let new = || {
            let timers = commit.wakeups.iter().filter(|(key, _)| key.kind == WakeupKind::Timer);
            timers.filter_map(|(key, registration)| Some((key, registration.as_ref()?)))
        };
        if new().next().is_none() {
            return Ok(None);
        }
        // Every type of the manifest has a limit.
        let most = self.0.limits.get(&actor.agent_type).copied().unwrap_or(usize::MAX);
        let number = self.lock(epoch).number_after(actor, commit, most);
        if number > most {
            return Err(Error::TooManyRegistrations(format!(
                "{actor} would have {number} timers; the limit registrations of its type is {most}"
            )));
        }
        let mut reserved = self.reservation(actor);
        let bytes = new().map(|(key, registration)| bytes_of(&key.name, registration)).sum();
        reserved.grow_or_refuse(bytes).map_err(|exhausted| Error::NotApplied(exhausted.to_string()))?;
        Ok(Some(reserved))
    }

    pub(super) fn note(
        &self,
        epoch: u64,
        actor: &ActorAddress,
        name: &str,
        registration: Option<&Registration>,
    ) {
        let mut noted = self.lock(epoch);
        match registration {
            Some(registration) => {
                let timer = NotedTimer { registration: registration.clone(), registered: Instant::now() };
                let empty = || OfActor { timers: HashMap::new(), reserved: self.reservation(actor) };
                noted.actors.entry(actor.clone()).or_insert_with(empty).insert(name, timer);
            }
            None => {
                if let Some(own) = noted.actors.get_mut(actor) {
                    own.remove(name);
                    if own.timers.is_empty() {
                        noted.actors.remove(actor);
                    }
                }
            }
        }
    }

    pub(super) fn get(&self, epoch: u64, actor: &ActorAddress, name: &str) -> Option<Registration> {
        let noted = self.lock(epoch);
        let NotedTimer { registration, registered } = noted.actors.get(actor)?.timers.get(name)?;
        let is_over = registration.ttl.is_some_and(|ttl| registered.elapsed() >= ttl);
        (!is_over).then(|| registration.clone())
    }

    /// A one-shot timer ends with the commit of its turn.
    pub(super) fn fired(&self, epoch: u64, actor: &ActorAddress, commit: &TurnCommit) {
        let Some(fired) = commit.handled.as_ref().filter(|fired| fired.key.kind == WakeupKind::Timer) else {
            return;
        };
        if self.get(epoch, actor, &fired.key.name).is_some_and(|timer| timer.period.is_none()) {
            self.note(epoch, actor, &fired.key.name, None);
        }
    }

    /// The timer that this commit's turn handled, if the turn has changed it and it would fire again by itself.
    pub(super) fn comes_back(&self, epoch: u64, actor: &ActorAddress, commit: &TurnCommit) -> Option<String> {
        let fired = commit.handled.as_ref().filter(|fired| fired.key.kind == WakeupKind::Timer)?;
        let is_changed = commit.wakeups.contains_key(&fired.key);
        let fires_once = self.get(epoch, actor, &fired.key.name).is_some_and(|timer| timer.period.is_none());
        (is_changed && !fires_once).then(|| fired.key.name.clone())
    }

    /// The actor was deactivated: returns the names of its timers, which end with it.
    pub(super) fn end(&self, epoch: u64, actor: &ActorAddress) -> Vec<String> {
        let ended = self.lock(epoch).actors.remove(actor);
        ended.map(|own| own.timers.into_keys().collect()).unwrap_or_default()
    }

    fn lock(&self, epoch: u64) -> MutexGuard<'_, Noted> {
        let mut noted = self.0.noted.lock();
        if noted.epoch != epoch {
            *noted = Noted { epoch, ..Noted::default() };
        }
        noted
    }

    fn reservation(&self, actor: &ActorAddress) -> Reservation {
        self.0.memory.reservation(MemoryKind::Activations, Some(&*actor.agent_type))
    }
}

impl Noted {
    /// The number of the actor's timers after a turn; 0 if it adds none. If there are too many, those that have ended by
    /// themselves are forgotten first.
    fn number_after(&mut self, actor: &ActorAddress, commit: &TurnCommit, most: usize) -> usize {
        let Some(own) = self.actors.get_mut(actor) else { return grown(&HashMap::new(), commit) };
        if grown(&own.timers, commit) > most {
            own.forget_ended(Instant::now());
        }
        grown(&own.timers, commit)
    }
}

/// The number of these timers after a turn; 0 if it adds none.
fn grown(timers: &HashMap<String, NotedTimer>, commit: &TurnCommit) -> usize {
    let (mut new, mut removed) = (0, 0);
    for (key, registration) in commit.wakeups.iter().filter(|(key, _)| key.kind == WakeupKind::Timer) {
        let is_there = timers.contains_key(&key.name);
        new += usize::from(registration.is_some() && !is_there);
        removed += usize::from(registration.is_none() && is_there);
    }
    if new <= removed { 0 } else { timers.len() + new - removed }
}

impl OfActor {
    fn insert(&mut self, name: &str, timer: NotedTimer) {
        self.remove(name);
        self.reserved.grow(bytes_of(name, &timer.registration));
        self.timers.insert(name.to_owned(), timer);
    }

    fn remove(&mut self, name: &str) {
        if let Some(timer) = self.timers.remove(name) {
            self.reserved.shrink(bytes_of(name, &timer.registration));
        }
    }

    fn forget_ended(&mut self, now: Instant) {
        self.timers.retain(|_, timer| !timer.has_ended(now));
        self.reserved.set(self.timers.iter().map(|(name, timer)| bytes_of(name, &timer.registration)).sum());
    }
}

impl NotedTimer {
    fn has_ended(&self, now: Instant) -> bool {
        let Registration { due, period, ttl, .. } = &self.registration;
        let passed = now.saturating_duration_since(self.registered);
        let has_fired = period.is_none() && passed >= due.saturating_add(FIRING);
        has_fired || ttl.is_some_and(|ttl| passed >= ttl)
    }
}

fn bytes_of(name: &str, registration: &Registration) -> u64 {
    TIMER + (name.len() + registration.data.len()) as u64
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use daca_model::backend::WakeupKey;

    use super::*;

    fn timer(period: Option<Duration>, ttl: Option<Duration>) -> Registration {
        Registration { due: Duration::ZERO, period, ttl, data: Bytes::from_static(b"data") }
    }

    fn lasting() -> Registration {
        timer(Some(Duration::from_secs(60)), None)
    }

    /// A turn with these changes.
    fn turn<const N: usize>(changes: [(&str, Option<Registration>); N]) -> TurnCommit {
        let key = |name: &str| WakeupKey { kind: WakeupKind::Timer, name: name.to_owned() };
        let wakeups = changes.into_iter().map(|(name, change)| (key(name), change)).collect();
        TurnCommit { wakeups, ..TurnCommit::default() }
    }

    fn two_at_most(memory: &MemoryBudget) -> (Timers, ActorAddress) {
        let timers = Timers::within([("A".into(), 2)].into(), memory.clone());
        (timers, "A/a".parse().expect("it is an address"))
    }

    #[test]
    fn an_actor_has_no_more_timers_than_its_type_permits() {
        let (timers, actor) = two_at_most(&MemoryBudget::unlimited());
        let is_admitted = |commit: TurnCommit| match timers.admit(1, &actor, &commit) {
            Ok(_) => true,
            Err(Error::TooManyRegistrations(_)) => false,
            Err(error) => panic!("{error}"),
        };
        let new = || Some(lasting());
        assert!(!is_admitted(turn([("a", new()), ("b", new()), ("c", new())])));
        assert!(is_admitted(turn([("a", new()), ("b", new())])));
        timers.note(1, &actor, "a", Some(&lasting()));
        timers.note(1, &actor, "b", Some(&timer(None, Some(Duration::MAX))));
        assert!(!is_admitted(turn([("c", new())])));
        assert!(is_admitted(turn([("b", new())])), "it replaces another one");
        assert!(is_admitted(turn([("a", None), ("c", new())])));
        // Its time to live is over.
        timers.note(1, &actor, "b", Some(&timer(Some(Duration::from_secs(1)), Some(Duration::ZERO))));
        assert!(is_admitted(turn([("c", new())])));
        timers.note(1, &actor, "c", Some(&lasting()));
        assert!(!is_admitted(turn([("d", new())])));
        assert!(timers.admit(2, &actor, &turn([("d", new())])).is_ok(), "the others ended with their epoch");
    }

    #[test]
    fn a_one_shot_timer_whose_turn_failed_is_forgotten_in_the_end() {
        let noted = NotedTimer { registration: timer(None, None), registered: Instant::now() };
        assert!(!noted.has_ended(noted.registered + FIRING / 2));
        assert!(noted.has_ended(noted.registered + FIRING));
        let noted = NotedTimer { registration: lasting(), ..noted };
        assert!(!noted.has_ended(noted.registered + FIRING));
    }

    #[test]
    fn timers_count_in_the_budget_of_memory() {
        let memory = MemoryBudget::new(2 * (TIMER + 5), &[("A".into(), 1)].into_iter().collect());
        let (timers, actor) = two_at_most(&memory);
        let registers = turn([("a", Some(lasting()))]);
        let bytes = || memory.of_kind(MemoryKind::Activations);
        let reserved = timers.admit(1, &actor, &registers).expect("there is room");
        assert_eq!(bytes(), TIMER + 5);
        timers.note(1, &actor, "a", Some(&lasting()));
        drop(reserved);
        timers.note(1, &actor, "a", Some(&lasting()));
        assert_eq!(bytes(), TIMER + 5);
        let large = Registration { data: vec![0; 1024].into(), ..lasting() };
        let refused = timers.admit(1, &actor, &turn([("b", Some(large))]));
        assert!(matches!(refused, Err(Error::NotApplied(_))), "{refused:?}");
        timers.note(1, &actor, "a", None);
        assert_eq!(bytes(), 0);
        timers.note(1, &actor, "a", Some(&lasting()));
        assert_eq!((timers.end(1, &actor), bytes()), (vec!["a".to_owned()], 0));
        timers.note(1, &actor, "a", Some(&lasting()));
        assert_eq!((timers.get(2, &actor, "a").is_none(), bytes()), (true, 0));
    }
}

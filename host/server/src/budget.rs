//! The bytes of bodies that the host holds at the same time, from the first that is read until they are released: a
//! call that waits in a queue holds its payload.
//!
//! Bytes are counted as they arrive, so a client that only announces many takes none from others. Half-read bodies
//! would wait for each other forever once the budget is used up. So a quarter is reserved for finishing: the holder of
//! one of a few permits there may read its body to the end.
//!
//! Behind a sidecar, its calls have one half and all others the other: a message that finds no space blocks its
//! partition, and outsiders must not be able to cause that.
//!
//! Within the host's memory, a body is charged to the agent type that it is for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use daca_base::memory::{MemoryBudget, MemoryKind, Reservation};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The unit of counting in bytes.
const UNIT: usize = 1024;
/// The total time that a body waits for space before it is refused.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);

/// The budget. Cheap to clone: each body has it.
#[derive(Clone)]
pub(super) struct Budget(Arc<Pools>);

#[derive(Clone)]
struct Pools {
    all: BodyPool,
    /// The share that one peer on another machine may have: half.
    of_peer: Option<Arc<BodyPool>>,
    largest_peer: (usize, usize),
    peers: Arc<Mutex<HashMap<IpAddr, Weak<BodyPool>>>>,
    /// The host's budget of memory, of which bodies take a part.
    memory: Option<MemoryBudget>,
}

/// Bytes, and permits for finishing.
#[derive(Clone)]
struct BodyPool {
    units: Arc<Semaphore>,
    finishers: Arc<Semaphore>,
}

impl BodyPool {
    fn new(units: usize, finishers: usize) -> BodyPool {
        BodyPool { units: Arc::new(Semaphore::new(units)), finishers: Arc::new(Semaphore::new(finishers)) }
    }
}

/// The share of one body. Dropped with the body's bytes.
pub(super) struct Held {
    budget: Budget,
    units: BodyShare,
    finishes: BodyShare,
    reserved: Option<Reservation>,
    /// The time that it may still wait: bodies that repeatedly got a little would otherwise all wait for each other.
    time_left: Duration,
}

/// The budget stayed exhausted until the wait ended.
#[derive(Debug)]
pub(super) enum NoRoom {
    /// That of all bodies.
    Bodies,
    /// That of the host's memory.
    Memory,
}

impl Budget {
    /// A budget of so many bytes. A body has at most `largest`.
    pub(super) fn new(bytes: usize, largest: usize) -> Budget {
        let (units, largest) = (bytes / UNIT, largest.div_ceil(UNIT).max(1));
        let finishers = (units / 4 / largest).max(1);
        let units = units.saturating_sub(finishers * largest).min(Semaphore::MAX_PERMITS);
        let largest_peer = (units.div_ceil(2), finishers.div_ceil(2));
        let all = BodyPool::new(units, finishers);
        Budget(Arc::new(Pools { all, of_peer: None, largest_peer, peers: Arc::default(), memory: None }))
    }

    /// The same within the host's budget of memory.
    pub(super) fn within(self, memory: &MemoryBudget) -> Budget {
        Budget(Arc::new(Pools { memory: Some(memory.clone()), ..(*self.0).clone() }))
    }

    /// The budget for one peer on another machine: no more than half, so that it cannot take everything from others.
    pub(super) fn of_peer(&self, peer: IpAddr) -> Budget {
        let mut peers = self.0.peers.lock();
        let known = peers.get(&peer).and_then(Weak::upgrade);
        let pool = known.unwrap_or_else(|| {
            peers.retain(|_, pool| pool.strong_count() > 0);
            let (units, finishers) = self.0.largest_peer;
            let pool = Arc::new(BodyPool::new(units, finishers));
            peers.insert(peer, Arc::downgrade(&pool));
            pool
        });
        drop(peers);
        Budget(Arc::new(Pools { of_peer: Some(pool), ..(*self.0).clone() }))
    }

    /// The budget of the sidecar's connections, and that of all others. Without a sidecar they are the same.
    pub(super) fn parts(bytes: usize, largest: usize, behind_sidecar: bool) -> (Budget, Budget) {
        if behind_sidecar {
            return (Budget::new(bytes / 2, largest), Budget::new(bytes / 2, largest));
        }
        let budget = Budget::new(bytes, largest);
        (budget.clone(), budget)
    }

    /// An empty share. Its memory is that of the agent type, or the host's own.
    pub(super) fn hold(&self, agent_type: Option<&str>) -> Held {
        Held {
            budget: self.clone(),
            units: BodyShare::default(),
            finishes: BodyShare::default(),
            reserved: self.0.memory.as_ref().map(|memory| memory.reservation(MemoryKind::Bodies, agent_type)),
            time_left: WAIT_TIMEOUT,
        }
    }
}

/// The share of a pool, and of the peer's part of it.
#[derive(Default)]
struct BodyShare {
    all: Option<OwnedSemaphorePermit>,
    of_peer: Option<OwnedSemaphorePermit>,
}

impl BodyShare {
    fn count(&self) -> usize {
        self.all.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    fn add(&mut self, more: BodyShare) {
        for (have, more) in [(&mut self.all, more.all), (&mut self.of_peer, more.of_peer)] {
            match (have, more) {
                (Some(have), Some(more)) => have.merge(more),
                (have @ None, more) => *have = more,
                (Some(_), None) => {}
            }
        }
    }
}

impl Budget {
    /// Takes the same amount of both, as soon as it is available. `None` if the host is gone.
    async fn take(&self, of: fn(&BodyPool) -> &Arc<Semaphore>, count: u32) -> Option<BodyShare> {
        let of_peer = match &self.0.of_peer {
            Some(pool) => Some(of(pool).clone().acquire_many_owned(count).await.ok()?),
            None => None,
        };
        let all = of(&self.0.all).clone().acquire_many_owned(count).await.ok()?;
        Some(BodyShare { all: Some(all), of_peer })
    }

    /// Takes so many units, if they are available now: those who wait for them come first.
    fn take_units_now(&self, count: u32) -> Option<BodyShare> {
        let of_peer = match &self.0.of_peer {
            Some(pool) => Some(pool.units.clone().try_acquire_many_owned(count).ok()?),
            None => None,
        };
        let all = self.0.all.units.clone().try_acquire_many_owned(count).ok()?;
        Some(BodyShare { all: Some(all), of_peer })
    }
}

impl Held {
    /// Extends the share to so many bytes in total. Returns the time that it has waited for them.
    pub(super) async fn cover(&mut self, bytes: usize) -> Result<Duration, NoRoom> {
        let for_bodies = self.take(bytes).await?;
        Ok(for_bodies + self.reserve(bytes as u64).await?)
    }

    /// Extends the part of the host's memory. One that finishes waits, too: what others hold may not be bodies.
    async fn reserve(&mut self, bytes: u64) -> Result<Duration, NoRoom> {
        let Some(reserved) = &mut self.reserved else { return Ok(Duration::ZERO) };
        let more = bytes.saturating_sub(reserved.bytes());
        // Without a look at the clock: most bodies find room at once.
        if reserved.try_grow(more) {
            return Ok(Duration::ZERO);
        }
        let begun = Instant::now();
        reserved.wait_grow(more, self.time_left).await.map_err(|_exhausted| NoRoom::Memory)?;
        Ok(self.waited_since(begun))
    }

    async fn take(&mut self, bytes: usize) -> Result<Duration, NoRoom> {
        let Held { budget, units, finishes, time_left, .. } = self;
        let missing = bytes.div_ceil(UNIT).saturating_sub(units.count());
        if missing == 0 || finishes.count() > 0 {
            return Ok(Duration::ZERO);
        }
        let missing = u32::try_from(missing).map_err(|_| NoRoom::Bodies)?;
        if let Some(more) = budget.take_units_now(missing) {
            units.add(more);
            return Ok(Duration::ZERO);
        }
        let begun = Instant::now();
        tokio::select! {
            biased;
            Some(more) = budget.take(|pool| &pool.units, missing) => units.add(more),
            Some(place) = budget.take(|pool| &pool.finishers, 1) => *finishes = place,
            () = tokio::time::sleep(*time_left) => return Err(NoRoom::Bodies),
            else => return Err(NoRoom::Bodies),
        }
        Ok(self.waited_since(begun))
    }

    fn waited_since(&mut self, begun: Instant) -> Duration {
        let waited = begun.elapsed();
        self.time_left = self.time_left.saturating_sub(waited);
        waited
    }
}

#[cfg(test)]
mod tests {
    use daca_base::shares::Weights;

    use super::*;

    #[tokio::test]
    async fn others_leave_the_sidecar_its_half() {
        const HALF: usize = 512 * 1024;
        for (behind_sidecar, room) in [(true, HALF), (false, 2 * HALF)] {
            let (of_sidecar, of_others) = Budget::parts(2 * HALF, 64 * 1024, behind_sidecar);
            let mut outsiders = Vec::new();
            for _ in 0..room / (64 * 1024) {
                let mut held = of_others.hold(None);
                held.cover(64 * 1024).await.expect("there is room");
                outsiders.push(held);
            }
            let (mut one_more, mut message) = (of_others.hold(None), of_sidecar.hold(None));
            let (one_more, message) = tokio::join!(one_more.cover(64 * 1024), message.cover(64 * 1024));
            assert!(one_more.is_err());
            assert_eq!(message.is_ok(), behind_sidecar);
        }
    }

    #[tokio::test]
    async fn bodies_that_fill_the_budget_together_are_finished_one_after_the_other() {
        // Room for four bodies of 64 KiB, a quarter of it for one that finishes.
        let budget = Budget::new(256 * 1024, 64 * 1024);
        let mut bodies = (0..6).map(|_| budget.hold(None)).collect::<Vec<_>>();
        for body in &mut bodies {
            body.cover(32 * 1024).await.expect("192 KiB are free");
        }
        let mut last = bodies.pop().expect("six");
        last.cover(64 * 1024).await.expect("it finishes");
        assert!(bodies[0].cover(64 * 1024).await.is_err(), "one finishes at a time");
        drop(last);
        bodies[0].cover(64 * 1024).await.expect("there is room again");
        bodies.clear();
        budget.hold(None).cover(192 * 1024).await.expect("everything was given back");
        assert!(budget.hold(None).cover(64 * 1024).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_take_a_part_of_the_memory_of_the_host() {
        let memory = MemoryBudget::new(100 * 1024, &Weights::default());
        let budget = Budget::new(1024 * 1024, 64 * 1024).within(&memory);
        let (mut one, mut other) = (budget.hold(None), budget.hold(None));
        one.cover(60 * 1024).await.expect("there is room");
        assert_eq!(memory.of_kind(MemoryKind::Bodies), 60 * 1024);
        assert!(matches!(other.cover(60 * 1024).await, Err(NoRoom::Memory)));
        drop(one);
        assert_eq!(memory.of_kind(MemoryKind::Bodies), 0);
        budget.hold(None).cover(60 * 1024).await.expect("everything was given back");
    }

    #[tokio::test(start_paused = true)]
    async fn the_bodies_of_one_type_leave_those_of_another_its_part_of_the_memory() {
        const KIB: usize = 1024;
        let memory =
            MemoryBudget::new(1024 * 1024, &[("A".into(), 1), ("B".into(), 1)].into_iter().collect());
        let budget = Budget::new(16 * 1024 * KIB, 1024 * KIB).within(&memory);
        let (mut hog, mut one_more) = (budget.hold(Some("A")), budget.hold(Some("A")));
        hog.cover(864 * KIB).await.expect("all but the other one's floor, and the part for small bodies");
        assert!(matches!(one_more.cover(64 * KIB).await, Err(NoRoom::Memory)));
        let mut neighbour = budget.hold(Some("B"));
        neighbour.cover(64 * KIB).await.expect("it is within its floor");
        assert_eq!(memory.of_type(MemoryKind::Bodies, "B"), 64 * 1024);
    }

    #[tokio::test]
    async fn one_peer_takes_no_more_than_half() {
        const BYTES: usize = 1024 * 1024;
        let budget = Budget::new(BYTES, 64 * 1024);
        let peer = |last: u8| budget.of_peer([192, 0, 2, last].into());
        let greedy = peer(1);
        let mut bodies = Vec::new();
        loop {
            let mut body = greedy.hold(None);
            match body.cover(32 * 1024).await {
                Ok(_waited) => bodies.push(body),
                Err(_full) => break,
            }
        }
        assert!(bodies.len() * 32 * 1024 <= BYTES * 5 / 8, "{}", bodies.len());
        assert!(peer(1).hold(None).cover(32 * 1024).await.is_err(), "it is the same peer");
        peer(2).hold(None).cover(64 * 1024).await.expect("there is room for others");
        drop(bodies);
        greedy.hold(None).cover(64 * 1024).await.expect("everything was given back");
    }
}

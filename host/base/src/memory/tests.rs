mod divided;
mod overdraft;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::shares::Weights;

const SECOND: Duration = Duration::from_secs(1);

/// Idle things of agent types, the first of which is given up first.
#[derive(Default)]
struct IdleThings(Mutex<VecDeque<(&'static str, Reservation)>>);

impl IdleThings {
    fn push(&self, agent_type: &'static str, held: Reservation) {
        self.0.lock().push_back((agent_type, held));
    }

    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl Reclaim for IdleThings {
    fn reclaim(&self, givers: &Givers<'_>) -> bool {
        let mut all = self.0.lock();
        let oldest = all.iter().position(|(agent_type, _)| givers.contains(agent_type));
        let oldest = oldest.and_then(|place| all.remove(place));
        drop(all);
        oldest.is_some()
    }

    fn idle_bytes(&self, givers: &Givers<'_>) -> u64 {
        let mut of_types = BTreeMap::<_, u64>::new();
        for (agent_type, held) in &*self.0.lock() {
            *of_types.entry(*agent_type).or_default() += held.bytes();
        }
        of_types.into_iter().map(|(agent_type, bytes)| givers.most(agent_type).min(bytes)).sum()
    }
}

fn budget(limit: u64) -> (MemoryBudget, Arc<IdleThings>) {
    budget_of(limit, &["A"])
}

/// A budget that these types divide, by equal weights.
fn budget_of(limit: u64, types: &[&str]) -> (MemoryBudget, Arc<IdleThings>) {
    let weights = types.iter().map(|name| ((*name).into(), 1)).collect::<Weights>();
    let budget = MemoryBudget::new(limit, &weights);
    let idle = Arc::new(IdleThings::default());
    let weak: Weak<IdleThings> = Arc::downgrade(&idle);
    budget.reclaim_from(weak);
    (budget, idle)
}

fn of(budget: &MemoryBudget, bytes: u64) -> Reservation {
    of_type(budget, "A", bytes)
}

fn of_type(budget: &MemoryBudget, agent_type: &str, bytes: u64) -> Reservation {
    let mut reservation = budget.reservation(MemoryKind::Instances, Some(agent_type));
    reservation.grow(bytes);
    reservation
}

fn shown(budget: &MemoryBudget, agent_type: Option<&str>, kind: MemoryKind) -> Option<u64> {
    let is_it = |account: &MemoryAccount| account.agent_type.as_deref() == agent_type && account.kind == kind;
    budget.accounts().into_iter().find(is_it).map(|account| account.bytes)
}

fn refused(budget: &MemoryBudget, agent_type: Option<&str>) -> u64 {
    let of_type = budget.refused().into_iter().find(|(name, _)| name.as_deref() == agent_type);
    of_type.map(|(_, times)| times).unwrap_or_default()
}

#[test]
fn what_is_dropped_is_given_back_to_its_account() {
    let (budget, _idle) = budget_of(100, &["A", "B"]);
    let mut held = of(&budget, 30);
    held.shrink(10);
    held.set(25);
    let code = {
        let mut code = budget.reservation(MemoryKind::Code, None);
        code.grow(5);
        code
    };
    assert_eq!(shown(&budget, Some("A"), MemoryKind::Instances), Some(25));
    assert_eq!(shown(&budget, Some("B"), MemoryKind::Instances), Some(0));
    assert_eq!(shown(&budget, None, MemoryKind::Code), Some(5));
    assert_eq!(budget.reserved(), 30);
    drop((held, code));
    assert_eq!((budget.reserved(), budget.of_kind(MemoryKind::Instances)), (0, 0));
}

#[test]
fn what_is_idle_makes_room_and_what_is_in_use_does_not() {
    let (budget, idle) = budget(100);
    let in_use = of(&budget, 40);
    (0..2).for_each(|_| idle.push("A", of(&budget, 30)));
    let mut more = of(&budget, 0);
    assert!(!more.try_grow(61));
    assert_eq!((idle.len(), budget.evicted()), (2, 0), "nothing goes for what does not fit anyway");
    assert!(more.try_grow(20));
    assert_eq!((idle.len(), budget.evicted()), (1, 1), "no more than is needed");
    assert!(more.try_grow(40));
    assert!(!more.try_grow(1), "nothing is idle");
    assert_eq!((more.bytes(), budget.reserved()), (60, 100));
    drop(in_use);
    assert!(more.try_grow(40));
}

#[test]
fn what_was_measured_beyond_the_reservations_counts_but_leaves_a_part() {
    let (budget, _idle) = budget(100);
    let held = of(&budget, 20);
    budget.measured(70);
    assert!(!of(&budget, 0).try_grow(31));
    assert!(of(&budget, 0).try_grow(30));
    assert_eq!(budget.excess(), 0);
    budget.measured(1_000);
    assert_eq!(budget.excess(), 900);
    drop(held);
    assert!(of(&budget, 0).try_grow(25), "a host in which nothing fits serves nobody");
}

#[test]
fn a_place_that_is_warm_is_room_for_an_instance() {
    let (budget, _idle) = budget(100);
    let mut warm = budget.reservation(MemoryKind::WarmSlots, None);
    warm.set(40);
    let _held = of(&budget, 60);
    assert!(!budget.reservation(MemoryKind::Turns, Some("A")).try_grow(1));
    assert!(of(&budget, 0).try_grow(40));
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_what_is_freed_in_the_order_of_arrival() {
    let (budget, idle) = budget(100);
    let (held, mut small, mut large) = (of(&budget, 100), of(&budget, 0), of(&budget, 0));
    assert_eq!(small.wait_grow(10, SECOND).await, Err(MemoryExhausted));
    assert_eq!((refused(&budget, Some("A")), refused(&budget, None)), (1, 0));
    let waits = async {
        large.wait_grow(90, SECOND).await.expect("it is first");
        drop(large);
    };
    let waits_behind = async {
        tokio::time::sleep(SECOND / 10).await;
        small.wait_grow(20, SECOND).await.expect("there is room once the first has ended");
    };
    let ends = async {
        tokio::time::sleep(SECOND / 5).await;
        // A turn ends, and what it holds is idle from then on.
        idle.push("A", held);
        budget.became_idle();
    };
    tokio::join!(waits, waits_behind, ends);
    assert_eq!(small.bytes(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_large_body_takes_nothing_that_a_turn_waits_for() {
    const MIB: u64 = 1024 * 1024;
    let (budget, _idle) = budget(100 * MIB);
    let (mut held, mut turn) = (of(&budget, 100 * MIB), of(&budget, 0));
    let body = || budget.reservation(MemoryKind::Bodies, None);
    let (mut large, mut small) = (body(), body());
    let turn_waits = async {
        assert_eq!(turn.wait_grow(60 * MIB, SECOND).await, Err(MemoryExhausted));
    };
    let bodies_wait = async {
        tokio::time::sleep(SECOND / 10).await;
        held.shrink(50 * MIB);
        assert!(!large.try_grow(10 * MIB) && small.try_grow(100));
        large.wait_grow(10 * MIB, 2 * SECOND).await.expect("no turn waits any more");
    };
    tokio::join!(turn_waits, bodies_wait);
}

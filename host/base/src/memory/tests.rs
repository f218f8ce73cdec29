use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::account::AccountId;
use super::shared::Shared;
use super::*;
use crate::shares::Weights;

mod overdraft;

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
    assert_eq!((idle.len(), budget.given_up()), (2, 0), "nothing goes for what does not fit anyway");
    assert!(more.try_grow(20));
    assert_eq!((idle.len(), budget.given_up()), (1, 1), "no more than is needed");
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

/// Bytes of a budget in which each of two types has a floor of 200, and small bodies of no type have 50.
const DIVIDED: u64 = 1_600;

#[test]
fn no_type_takes_what_another_has_a_right_to() {
    let (budget, _idle) = budget_of(DIVIDED, &["A", "B"]);
    let mut hog = of(&budget, 0);
    assert!(!hog.try_grow(1_351) && hog.try_grow(1_350) && !hog.try_grow(1));
    let mut body = budget.reservation(MemoryKind::Bodies, None);
    assert!(body.try_grow(50), "its caller is heard");
    let mut neighbour = of_type(&budget, "B", 0);
    assert!(neighbour.try_grow(200) && !neighbour.try_grow(1));
    assert_eq!((budget.reserved(), budget.excess()), (DIVIDED, 0));
}

/// While what is idle is given up for one guest, another one of the same type wants as much.
struct Meanwhile {
    other: Mutex<Option<Reservation>>,
    was_granted: Mutex<Option<bool>>,
}

impl Reclaim for Meanwhile {
    fn reclaim(&self, _givers: &Givers<'_>) -> bool {
        let other = self.other.lock().take();
        if let Some(mut other) = other {
            let is_granted = other.try_grow(150);
            *self.was_granted.lock() = Some(is_granted);
            *self.other.lock() = Some(other);
        }
        false
    }

    fn idle_bytes(&self, _givers: &Givers<'_>) -> u64 {
        0
    }
}

#[test]
fn guests_of_one_type_do_not_each_take_the_floor_of_it() {
    let weights = ["A", "B"].into_iter().map(|name| (name.into(), 1)).collect::<Weights>();
    let budget = MemoryBudget::new(DIVIDED, &weights);
    let _hog = of(&budget, DIVIDED);
    let (mut guest, other) = (of_type(&budget, "B", 0), of_type(&budget, "B", 0));
    let meanwhile = Arc::new(Meanwhile { other: Mutex::new(Some(other)), was_granted: Mutex::default() });
    let weak: Weak<Meanwhile> = Arc::downgrade(&meanwhile);
    budget.reclaim_from(weak);
    assert!(guest.try_grow(150), "its floor is 200");
    assert_eq!(*meanwhile.was_granted.lock(), Some(false));
    assert_eq!(budget.reserved(), DIVIDED + 150);
}

#[test]
fn idle_things_are_taken_from_who_has_more() {
    let (budget, idle) = budget_of(DIVIDED, &["A", "B"]);
    idle.push("B", of_type(&budget, "B", 300));
    (0..2).for_each(|_| idle.push("A", of(&budget, 500)));
    let mut hog = of(&budget, 0);
    assert!(hog.try_grow(400) && hog.try_grow(400));
    let left = || idle.0.lock().iter().map(|(agent_type, _)| *agent_type).collect::<Vec<_>>();
    assert_eq!(left(), ["B"], "a type beyond its share makes room for itself");
    assert!(!hog.try_grow(500));
    assert_eq!(left(), ["B"]);
    // The other one has more now.
    drop(hog);
    idle.push("B", of_type(&budget, "B", 900));
    assert!(of(&budget, 0).try_grow(400));
    assert_eq!(left(), ["B"]);
}

#[test]
fn a_type_gives_up_nothing_if_its_surplus_is_not_enough() {
    let (budget, idle) = budget_of(DIVIDED, &["A", "B", "C"]);
    (0..18).for_each(|_| idle.push("A", of(&budget, 50)));
    let mut neighbour = of_type(&budget, "B", 600);
    assert!(!neighbour.try_grow(400), "the other one has 900, and gives 300 of them");
    assert_eq!((idle.len(), budget.given_up()), (18, 0));
    assert!(neighbour.try_grow(100));
    assert_eq!(idle.len(), 14);
}

#[test]
fn what_a_type_only_keeps_goes_to_one_that_has_less_than_its_share() {
    let (budget, idle) = budget_of(DIVIDED, &["A", "B"]);
    let _code = of_type(&budget, "the host itself", 600);
    (0..10).for_each(|_| idle.push("A", of(&budget, 50)));
    let mut neighbour = of_type(&budget, "B", 400);
    assert!(!neighbour.try_grow(400), "the other one has 500, and keeps 200 of them");
    assert_eq!(idle.len(), 10);
    assert!(neighbour.try_grow(300));
    assert_eq!(idle.len(), 5);
}

#[test]
fn a_small_host_with_several_types_leaves_them_more_than_their_floors() {
    let (budget, _idle) = budget_of(DIVIDED, &["A", "B", "C", "D"]);
    // A quarter is left.
    budget.measured(1_200);
    assert!(!of(&budget, 0).try_grow(268));
    assert!(of(&budget, 0).try_grow(267), "the floors of the others are 300");
}

#[tokio::test(start_paused = true)]
async fn who_waits_within_its_share_comes_before_one_beyond_it() {
    let (budget, _idle) = budget_of(DIVIDED, &["A", "B"]);
    let (mut held, mut hog, mut neighbour) = (of(&budget, 1_350), of(&budget, 0), of_type(&budget, "B", 0));
    let hog_waits = async { hog.wait_grow(100, SECOND).await };
    let neighbour_waits = async {
        tokio::time::sleep(SECOND / 10).await;
        neighbour.wait_grow(400, SECOND).await
    };
    let ends = async {
        for _ in 0..2 {
            tokio::time::sleep(SECOND / 5).await;
            held.shrink(100);
        }
    };
    let (hog, neighbour, ()) = tokio::join!(hog_waits, neighbour_waits, ends);
    assert_eq!((hog, neighbour), (Err(MemoryExhausted), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_more_than_its_share_holds_nobody_else_back() {
    let (budget, _idle) = budget_of(DIVIDED, &["A", "B"]);
    let (mut large, mut other) = (of(&budget, 100), of_type(&budget, "B", 900));
    let waits = large.wait_grow(900, SECOND);
    let grows = async {
        tokio::time::sleep(SECOND / 10).await;
        other.try_grow(100)
    };
    assert_eq!(
        tokio::join!(waits, grows),
        (Err(MemoryExhausted), true),
        "both are beyond their share of 800"
    );
}

#[tokio::test(start_paused = true)]
async fn refusals_are_counted_by_type_and_the_log_hears_of_those_beyond_a_share() {
    let weights = ["A", "B"].into_iter().map(|name| (name.into(), 1)).collect::<Weights>();
    let budget = MemoryBudget::new(DIVIDED, &weights);
    let _held = of(&budget, 1_350);
    let mut neighbour = of_type(&budget, "B", 200);
    assert_eq!(neighbour.grow_or_refuse(100), Err(MemoryExhausted));
    assert_eq!((refused(&budget, Some("A")), refused(&budget, Some("B"))), (0, 1));

    let shared = Shared::new(DIVIDED, &weights);
    let [hog, neighbour] = [1, 2].map(|number| AccountId { kind: MemoryKind::Instances, number });
    shared.add(hog, 1_350);
    shared.add(neighbour, 200);
    assert_eq!(shared.held_back(neighbour, 100), None, "that is within its share");
    let told = shared.held_back(hog, 1).map(|held_back| held_back.to_string());
    let line = "A has 1350 of the host's 1600 bytes of memory, and its share is 800";
    assert_eq!(told.as_deref(), Some(line));
    assert_eq!(shared.held_back(hog, 1), None, "once in a minute");
    tokio::time::advance(60 * SECOND).await;
    assert!(shared.held_back(hog, 1).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_body_comes_after_waiting_turns_of_its_own_type_alone() {
    const KIB: u64 = 1024;
    let (budget, _idle) = budget_of(DIVIDED * KIB, &["A", "B"]);
    let (_held, mut turn) = (of(&budget, 1_000 * KIB), of(&budget, 0));
    let mut bodies = ["A", "B"].map(|agent_type| budget.reservation(MemoryKind::Bodies, Some(agent_type)));
    let waits = turn.wait_grow(500 * KIB, SECOND);
    let arrive = async {
        tokio::time::sleep(SECOND / 10).await;
        bodies.each_mut().map(|body| body.try_grow(17 * KIB))
    };
    assert_eq!(tokio::join!(waits, arrive), (Err(MemoryExhausted), [false, true]));
}

#[test]
fn small_bodies_of_no_type_have_a_part_for_themselves_however_they_arrive() {
    const KIB: u64 = 1024;
    // 64 KiB are for them.
    let (budget, _idle) = budget_of(2_048 * KIB, &["A", "B"]);
    let mut hog = of(&budget, 2_048 * KIB);
    let body = || budget.reservation(MemoryKind::Bodies, None);
    let mut bodies = (0..5).map(|_| body()).collect::<Vec<_>>();
    let arrived = bodies.iter_mut().map(|body| (0..16).all(|_| body.try_grow(KIB)));
    assert_eq!(arrived.collect::<Vec<_>>(), [true, true, true, true, false]);
    assert_eq!(shown(&budget, None, MemoryKind::Bodies), Some(64 * KIB));
    assert!(!bodies[0].try_grow(KIB), "it would not be small any more");
    drop(bodies.remove(0));
    let mut next = body();
    assert!(next.try_grow(16 * KIB));
    // One that is large is as any other, and leaves the part to those that are small.
    hog.shrink(1_000 * KIB);
    assert!(bodies[0].try_grow(20 * KIB));
    assert_eq!((bodies[0].bytes(), budget.of_kind(MemoryKind::Bodies)), (36 * KIB, 84 * KIB));
    hog.grow(1_000 * KIB);
    assert!(bodies[3].try_grow(16 * KIB) && !body().try_grow(1));
    drop((bodies, next));
    assert_eq!(budget.of_kind(MemoryKind::Bodies), 0);
}

//! What each of several types gets of one budget.

use super::super::account::AccountId;
use super::super::shared::Shared;
use super::*;

/// Bytes of a budget in which each of two types has a floor of 200, and small bodies of no type have 50.
pub(super) const DIVIDED: u64 = 1_600;

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
    assert_eq!((idle.len(), budget.evicted()), (18, 0));
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

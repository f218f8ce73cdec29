//! Who goes beyond the budget.

use super::divided::DIVIDED;
use super::*;
use crate::memory::permission::Permission;

#[test]
fn one_turn_at_a_time_goes_beyond_the_budget_until_all_of_it_is_dropped() {
    let (budget, _idle) = budget(100);
    let mut turns = [of(&budget, 50), of(&budget, 50)];
    for turn in &mut turns {
        turn.begin_turn();
    }
    let [first, second] = &mut turns;
    let mut writes = first.beside(MemoryKind::Turns);
    assert!(first.try_grow(10) && writes.try_grow(10), "what one turn holds goes together");
    assert!(!second.try_grow(1));
    first.end_turn();
    assert!(!second.try_grow(1), "what it writes is not committed yet");
    drop(writes);
    assert!(second.try_grow(1) && !first.try_grow(1));
}

#[test]
fn a_right_to_memory_holds_while_another_type_goes_beyond_the_budget() {
    let (budget, _idle) = budget_of(DIVIDED, &["A", "B"]);
    let mut hog = of(&budget, 1_350);
    hog.begin_turn();
    assert!(hog.try_grow(500), "one turn may");
    assert!(of_type(&budget, "B", 0).try_grow(200));
}

/// Two types ask for the permission, the first of them first, each time that a turn has ended.
fn holders(permission: &Permission, weights: [u64; 2], times: usize) -> [usize; 2] {
    let mut held = [0; 2];
    for _ in 0..times {
        let takes = |number: &u32| {
            let weight = weights[*number as usize];
            permission.take(*number, weight, [0, 1].into_iter().filter(|rival| rival != number))
        };
        let holder = [0, 1].iter().position(takes).expect("one of them is next");
        held[holder] += 1;
        permission.give_back();
    }
    held
}

#[test]
fn types_that_wait_go_beyond_the_budget_in_turn_by_weight() {
    assert_eq!(holders(&Permission::new(2), [1, 1], 30), [15, 15]);
    assert_eq!(holders(&Permission::new(2), [1, 2], 30), [10, 20]);
}

#[test]
fn a_type_that_was_idle_saves_up_nothing_and_one_alone_waits_for_nobody() {
    let permission = Permission::new(2);
    for _ in 0..10 {
        assert!(permission.take(0, 1, std::iter::empty()));
        assert!(!permission.take(1, 1, std::iter::empty()), "one at a time");
        permission.give_back();
    }
    assert_eq!(holders(&permission, [1, 1], 30), [15, 15]);
}

#[tokio::test(start_paused = true)]
async fn after_a_turn_that_was_beyond_the_budget_another_type_comes_first() {
    let (budget, _idle) = budget_of(DIVIDED, &["A", "B"]);
    let [mut hog, mut next, mut neighbour] =
        [("A", 750), ("A", 0), ("B", 750)].map(|(agent_type, bytes)| of_type(&budget, agent_type, bytes));
    for turn in [&mut hog, &mut next, &mut neighbour] {
        turn.begin_turn();
    }
    assert!(hog.try_grow(100), "it is the first one");
    // Both would be beyond their share of 800, and that of the hog waits for longer.
    let next_waits = next.wait_grow(100, SECOND);
    let neighbour_waits = neighbour.wait_grow(100, SECOND);
    let ends = async {
        tokio::time::sleep(SECOND / 10).await;
        hog.shrink(100);
        hog.end_turn();
    };
    let (next, neighbour, ()) = tokio::join!(next_waits, neighbour_waits, ends);
    assert_eq!((next, neighbour), (Err(MemoryExhausted), Ok(())));
}

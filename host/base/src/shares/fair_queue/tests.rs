use super::*;

const MS: u64 = 1_000_000;
const SLICE: u64 = 5 * MS;
const HOG: Share = Share(0);
const OTHER: Share = Share(1);

/// One thread at a time takes the next turn, which runs for a slice and then wants to go on, until so much time is over.
fn spin(queue: &mut FairQueue<u32>, time: u64) {
    for _ in 0..time / SLICE {
        let (share, turn) = queue.pop().expect("a turn that spins");
        queue.push(share, turn);
        queue.ended(share, SLICE);
    }
}

#[test]
fn types_that_always_want_to_run_get_time_by_their_weights() {
    let mut queue = FairQueue::new(&[1, 3, 1000], SLICE);
    // The number of turns of a type makes no difference.
    (0..50).for_each(|turn| queue.push(HOG, turn));
    queue.push(OTHER, 50);
    spin(&mut queue, 4_000 * MS);
    let used = [HOG, OTHER, Share(2)].map(|share| queue.usage(share).used / MS);
    assert_eq!(used, [1_000, 3_000, 0]);
    queue.push(Share(2), 51);
    spin(&mut queue, 10_040 * MS);
    let heavy = queue.usage(Share(2)).used / MS;
    assert!((9_950..=10_030).contains(&heavy), "{heavy} ms of 10,040, with 1,000 of a weight of 1,004");
}

#[test]
fn a_light_turn_goes_before_all_turns_of_a_hog() {
    let mut queue = FairQueue::new(&[1, 1], SLICE);
    (0..400).for_each(|turn| queue.push(HOG, turn));
    for _ in 0..1_000 {
        spin(&mut queue, SLICE);
        queue.push(OTHER, 1_000);
        assert_eq!(queue.pop(), Some((OTHER, 1_000)));
        queue.ended(OTHER, MS / 100);
    }
}

#[test]
fn turns_of_a_type_take_turns() {
    let mut queue = FairQueue::new(&[1], SLICE);
    (0..3).for_each(|turn| queue.push(HOG, turn));
    let taken = (0..6).map(|_| {
        let (share, turn) = queue.pop().expect("a turn");
        queue.push(share, turn);
        queue.ended(share, MS);
        turn
    });
    assert_eq!(taken.collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
}

/// Otherwise it would have the processors for itself as long as it was away.
#[test]
fn nobody_saves_up_time_and_nobody_pays_for_time_that_no_other_wanted() {
    let mut queue = FairQueue::new(&[1, 1], SLICE);
    queue.push(HOG, 0);
    spin(&mut queue, 100_000 * MS);
    let before = queue.usage(HOG).used;
    queue.push(OTHER, 1);
    spin(&mut queue, 1_000 * MS);
    let hog = (queue.usage(HOG).used - before) / MS;
    assert!((495..=505).contains(&hog), "{hog} ms of 1,000");
}

#[test]
fn two_threads_do_not_both_run_the_type_that_is_behind() {
    let mut queue = FairQueue::new(&[1, 1], SLICE);
    (0..4).for_each(|turn| queue.push(HOG, turn));
    queue.push(OTHER, 4);
    let taken = [queue.pop(), queue.pop()].map(|taken| taken.map(|(share, _)| share));
    assert!(taken.contains(&Some(HOG)) && taken.contains(&Some(OTHER)), "{taken:?}");
    // A turn that runs has a worse claim than one of a type that has none running.
    queue.ended(OTHER, 0);
    queue.push(OTHER, 5);
    assert!(queue.goes_before(OTHER, HOG) && !queue.goes_before(HOG, OTHER));
}

#[test]
fn an_emptied_queue_has_no_turns_and_keeps_what_was_used() {
    let mut queue = FairQueue::new(&[1, 1], SLICE);
    queue.push(HOG, 0);
    spin(&mut queue, SLICE);
    queue.push(OTHER, 1);
    assert_eq!(queue.usage(OTHER), Use { used: 0, waiting: 1 });
    assert_eq!(queue.take_all(), [0, 1]);
    assert_eq!((queue.pop(), queue.waiting()), (None, 0));
    assert_eq!(queue.usage(HOG), Use { used: SLICE, waiting: 0 });
}

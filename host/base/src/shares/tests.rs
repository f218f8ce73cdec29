//! A pool against a model: whatever the types take, return, wait for and give up.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{SharePermit, SharedPool, SharedRate, Weights};

const TYPES: [&str; 3] = ["A", "B", "C"];

/// One step of those who use a pool.
#[derive(Debug, Clone)]
enum Step {
    Take(usize, usize),
    Wait(usize, usize),
    Return(Index),
    GiveUp(Index),
}

type Acquiring = Pin<Box<dyn Future<Output = SharePermit>>>;

/// The users of a pool, as they know themselves.
struct Users {
    pool: SharedPool,
    permits: Vec<(usize, SharePermit)>,
    waiting: Vec<(usize, usize, Acquiring)>,
}

impl Users {
    fn step(&mut self, step: Step) {
        match step {
            Step::Take(of, amount) => {
                self.permits.extend(self.pool.try_acquire(TYPES[of], amount).ok().map(|permit| (of, permit)));
            }
            Step::Wait(of, amount) => {
                let pool = self.pool.clone();
                let future: Acquiring = Box::pin(async move { pool.acquire(TYPES[of], amount).await });
                self.waiting.push((of, amount, future));
            }
            Step::Return(index) if !self.permits.is_empty() => {
                drop(self.permits.swap_remove(index.index(self.permits.len())));
            }
            Step::GiveUp(index) if !self.waiting.is_empty() => {
                drop(self.waiting.remove(index.index(self.waiting.len())));
            }
            Step::Return(_) | Step::GiveUp(_) => {}
        }
    }

    /// Takes the permits that were granted. Returns the types that got them.
    fn collect(&mut self) -> Vec<usize> {
        let mut served = Vec::new();
        let waiting = std::mem::take(&mut self.waiting);
        for (of, amount, mut future) in waiting {
            match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(permit) => {
                    served.push(of);
                    self.permits.push((of, permit));
                }
                Poll::Pending => self.waiting.push((of, amount, future)),
            }
        }
        served
    }

    fn check(&self, served: &[usize]) -> Result<(), TestCaseError> {
        let held = |of: usize| {
            self.permits
                .iter()
                .filter(|(owner, _)| *owner == of)
                .map(|(_, permit)| permit.amount())
                .sum::<usize>()
        };
        self.pool.look(|ledger| {
            prop_assert!(ledger.used() <= ledger.capacity, "more than there is");
            for (of, name) in TYPES.into_iter().enumerate() {
                let slot = ledger.slot_of(name);
                prop_assert_eq!(ledger.slot(slot).used, held(of), "{} leaks", name);
                let others = ledger.slots().iter().filter(|slot| *slot.agent_type != *name);
                let reserve = others.map(|slot| slot.floor).sum::<usize>();
                prop_assert!(held(of) <= ledger.capacity - reserve, "{} has the floors of others", name);
                prop_assert_eq!(ledger.slack.used(), ledger.used());
                for amount in (1..40).filter(|amount| ledger.slack.has_room(*amount)) {
                    let is_granted = ledger.has_room(slot, amount, 1) && !ledger.is_beyond(slot, amount);
                    prop_assert!(is_granted, "there is no room for {} more of {}", amount, name);
                }
            }
            let mut first = [None; TYPES.len()];
            for (of, amount, _) in &self.waiting {
                first[*of].get_or_insert(*amount);
            }
            let wants = |of: usize| {
                let slot = ledger.slot_of(TYPES[of]);
                first[of].map(|amount: usize| (slot, amount.min(ledger.most(slot))))
            };
            let is_within =
                |of: &usize| wants(*of).is_some_and(|(slot, amount)| !ledger.is_beyond(slot, amount));
            if let Some(within) = (0..TYPES.len()).find(is_within) {
                let beyond = served.iter().find(|of| {
                    let slot = ledger.slot(ledger.slot_of(TYPES[**of]));
                    slot.used > slot.share && **of != within && self.permits_of(**of) > 1
                });
                prop_assert!(beyond.is_none(), "served beyond its share while {} waits", within);
            }
            // Nobody waits for nothing: one of those that come first has no room.
            let waiting = (0..TYPES.len()).filter_map(wants).collect::<Vec<_>>();
            if let Some(first) = waiting.iter().min_by(|a, b| ledger.order(**a, **b)) {
                let mut ties = waiting.iter().filter(|other| ledger.order(*first, **other).is_eq());
                let has_room = ties.all(|(slot, amount)| ledger.has_room(*slot, *amount, 1));
                prop_assert!(!has_room, "there is room, and somebody waits");
            }
            Ok(())
        })
    }

    fn permits_of(&self, of: usize) -> usize {
        self.permits.iter().filter(|(owner, _)| *owner == of).count()
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let amounts = || prop_oneof![4 => Just(1usize), 1 => 1usize..40];
    let step = prop_oneof![
        3 => (0..TYPES.len(), amounts()).prop_map(|(of, amount)| Step::Take(of, amount)),
        3 => (0..TYPES.len(), amounts()).prop_map(|(of, amount)| Step::Wait(of, amount)),
        4 => any::<Index>().prop_map(Step::Return),
        1 => any::<Index>().prop_map(Step::GiveUp),
    ];
    vec(step, 1..120)
}

fn weights(of: [u32; 3]) -> Weights {
    TYPES.into_iter().map(Arc::<str>::from).zip(of).collect()
}

proptest! {
    #[test]
    fn shares_hold_whatever_the_types_do(
        steps in steps(),
        capacity in 1usize..40,
        of in [1u32..5, 1u32..5, 1u32..5],
    ) {
        let pool = SharedPool::new("things", capacity, &weights(of));
        let mut users = Users { pool: pool.clone(), permits: Vec::new(), waiting: Vec::new() };
        for step in steps {
            users.step(step);
            let served = users.collect();
            users.check(&served)?;
        }
        // Those that wait get theirs when the others return what they have.
        while !users.waiting.is_empty() {
            users.permits.clear();
            prop_assert!(!users.collect().is_empty(), "a waiter is forgotten");
        }
        users.permits.clear();
        prop_assert_eq!(pool.used(), 0);
    }
}

#[test]
fn a_type_uses_what_others_leave_but_not_their_floors() {
    let pool = SharedPool::new("things", 80, &weights([1, 1, 2]));
    let hog = std::iter::from_fn(|| pool.try_acquire("A", 1).ok()).collect::<Vec<_>>();
    assert_eq!(hog.len(), 65, "80 without the floors of B (5) and C (10)");
    let refused = pool.try_acquire("A", 1).expect_err("it has all that it can have");
    assert!(refused.is_beyond, "{refused}");
    let rest =
        ["B", "C"].map(|of| std::iter::from_fn(|| pool.try_acquire(of, 1).ok()).collect::<Vec<_>>().len());
    assert_eq!(rest, [5, 10]);
}

#[tokio::test(start_paused = true)]
async fn what_a_type_was_refused_within_its_share_is_not_taken_by_those_beyond_theirs() {
    let pool = SharedPool::new("things", 80, &weights([1, 1, 2]));
    let mut hog = std::iter::from_fn(|| pool.try_acquire("A", 1).ok()).collect::<Vec<_>>();
    let mut neighbour = std::iter::from_fn(|| pool.try_acquire("B", 1).ok()).collect::<Vec<_>>();
    hog.truncate(64);
    assert!(pool.try_acquire("A", 1).is_err(), "the neighbour was refused a moment ago");
    neighbour.extend(pool.try_acquire("B", 1).ok());
    assert_eq!(neighbour.len(), 6);
    hog.truncate(63);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(pool.try_acquire("A", 1).is_ok(), "the neighbour wants no more");
}

/// Those beyond their share return what they have at some time, and take it again at once.
#[tokio::test(start_paused = true)]
async fn a_type_within_its_share_gets_what_others_return() {
    let pool = SharedPool::new("things", 80, &weights([1, 1, 2]));
    let mut hog = std::iter::from_fn(|| pool.try_acquire("A", 1).ok()).collect::<Vec<_>>();
    let mut neighbour = std::iter::from_fn(|| pool.try_acquire("B", 1).ok()).collect::<Vec<_>>();
    let rest = std::iter::from_fn(|| pool.try_acquire("C", 1).ok()).collect::<Vec<_>>();
    let patience = Duration::from_secs(1);
    let began = tokio::time::Instant::now();
    assert!(pool.acquire_soon("A", 1, patience).await.is_err());
    assert_eq!(began.elapsed(), Duration::ZERO, "it has more than its share");
    assert!(pool.acquire_soon("B", 1, patience).await.is_err_and(|held_back| !held_back.is_beyond));
    assert_eq!(began.elapsed(), patience);

    let mut waiting = std::pin::pin!(pool.acquire_soon("B", 1, patience));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    hog.pop();
    assert!(pool.try_acquire("A", 1).is_err(), "the other one waits");
    neighbour.push(waiting.await.expect("it was returned"));
    assert_eq!((neighbour.len(), rest.len(), hog.len()), (6, 10, 64));
}

#[test]
fn a_type_alone_has_everything_and_is_not_held_back_by_a_share() {
    let alone = [(Arc::<str>::from("A"), 1)].into_iter().collect();
    let pool = SharedPool::new("things", 4, &alone);
    let all = pool.try_acquire("A", 4).expect("there is nobody else");
    assert!(!pool.try_acquire("A", 1).expect_err("nothing is left").is_beyond);
    drop(all);
}

#[test]
fn what_a_pool_only_counts_leaves_the_floors_of_the_others() {
    let pool = SharedPool::new("things", 800, &weights([1, 1, 2]));
    assert_eq!(TYPES.map(|name| pool.room(name)), [650, 650, 700]);
    pool.adjust("A", 650, 0);
    assert_eq!(TYPES.map(|name| pool.room(name)), [0, 50, 100]);
    pool.adjust("C", 100, 0);
    pool.adjust("A", 20, 70);
    assert_eq!(TYPES.map(|name| pool.room(name)), [50, 100, 50]);
    pool.count_refusal("A", 51);
    assert_eq!((pool.used_by("A"), pool.uses()[0].held_back), (600, 1));
    // More than there is, by what was there before.
    pool.adjust("B", 500, 0);
    assert_eq!(TYPES.map(|name| pool.room(name)), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_there_again_after_a_second() {
    let rate = SharedRate::new("bytes a second", 800, &weights([1, 1, 2]));
    assert!(rate.take("A", 650).is_ok());
    assert!(rate.take("A", 1).is_err_and(|held_back| held_back.is_beyond));
    assert!(rate.take("C", 100).is_ok(), "its floor");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(rate.uses()[0].used, 0, "that is shown, too, although nobody has taken anything since");
    assert!(rate.take("A", 200).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_a_rate_refuses_is_counted_and_one_thing_a_second_is_excepted() {
    let alone = [(Arc::<str>::from("A"), 1)].into_iter().collect();
    let rate = SharedRate::new("bytes a second", 800, &alone);
    assert!(rate.take("A", 800).is_ok());
    for _ in 0..2 {
        assert!(rate.take("A", 1).is_err_and(|held_back| !held_back.is_beyond));
    }
    assert_eq!(rate.refused("A"), 2);
    assert!(rate.take_or_except("A", 1).is_ok());
    assert!(rate.take_or_except("A", 1).is_err());
    assert_eq!(rate.refused("A"), 3);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(rate.take_or_except("A", 800).is_ok() && rate.take_or_except("A", 1).is_ok());
}

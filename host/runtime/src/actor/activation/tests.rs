use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use daca_base::memory::{MemoryBudget, MemoryKind, Reservation};
use futures::poll;
use tokio::time::Instant;

use crate::actor::record::Activation;
use crate::actor::worth::Rank;
use crate::fake::{FakeBackend, FakeHost, IDLE_TIMEOUT, actor, code, ok};

#[tokio::test(start_paused = true)]
async fn turns_run_in_the_order_of_their_calls_and_a_full_queue_takes_no_more() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    let held = host.backend.hold_reads().await;
    let mut first = pin!(host.call("a", "add", "1"));
    let mut second = pin!(host.call("a", "add", "2"));
    let mut third = pin!(host.call("a", "add", "3"));
    assert!(poll!(first.as_mut()).is_pending());
    host.backend.has_held().await;
    assert!(poll!(second.as_mut()).is_pending());
    assert!(poll!(third.as_mut()).is_pending());
    assert_eq!(host.call("a", "add", "4").await, code("actor-queue-full"));
    drop(held);
    // Whoever is waited for first.
    assert_eq!(third.await, ok("123"));
    assert_eq!((first.await, second.await), (ok("1"), ok("12")));
    assert_eq!(host.call("a", "add", "5").await, ok("1235"), "the queue has room again");
    assert_eq!(host.delivered().await, ["1", "2", "3", "5"]);
}

/// A backend may say so as often as it likes, while the turn does not end.
#[tokio::test(start_paused = true)]
async fn an_actor_that_is_given_up_again_and_again_ends_once_and_its_queue_has_room() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    let held = host.backend.hold_reads().await;
    let mut first = pin!(host.call("a", "add", "1"));
    let mut second = pin!(host.call("a", "add", "2"));
    let mut third = pin!(host.call("a", "add", "3"));
    assert!(poll!(first.as_mut()).is_pending());
    host.backend.has_held().await;
    let activation = host.actors.services.active.all().next().expect("it is active");
    let queued = || activation.snapshot(Instant::now()).queued;
    (0..1_000).for_each(|_| host.actors.give_up_actor(&actor("a")));
    assert_eq!(queued(), 1);
    assert!(poll!(second.as_mut()).is_pending());
    assert!(poll!(third.as_mut()).is_pending());
    assert_eq!(poll!(pin!(host.call("a", "add", "4"))), Poll::Ready(code("actor-queue-full")));
    assert_eq!(queued(), 3);
    drop(held);
    assert_eq!(first.await, code("not-done"));
    assert_eq!((second.await, third.await), (ok("2"), ok("23")), "they begin another activation");
}

#[tokio::test(start_paused = true)]
async fn an_actor_does_not_wait_for_another_one() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    assert_eq!(host.call("b", "add", "1").await, ok("1"));
    let held = host.backend.hold_reads().await;
    let mut call = pin!(host.call("a", "add", "1"));
    assert!(poll!(call.as_mut()).is_pending());
    host.backend.has_held().await;
    assert_eq!(host.call("b", "add", "2").await, ok("12"), "it needs no read");
    drop(held);
    assert_eq!(call.await, ok("1"));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_that_nobody_waits_for_does_not_run() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    let held = host.backend.hold_reads().await;
    let mut first = pin!(host.call("a", "add", "1"));
    let mut third = pin!(host.call("a", "add", "3"));
    assert!(poll!(first.as_mut()).is_pending());
    host.backend.has_held().await;
    {
        let mut second = pin!(host.call("a", "add", "2"));
        assert!(poll!(second.as_mut()).is_pending());
    }
    assert!(poll!(third.as_mut()).is_pending());
    drop(held);
    assert_eq!((first.await, third.await), (ok("1"), ok("13")));
}

/// A turn that has begun ends, and is kept, whether somebody waits for it or not.
#[tokio::test(start_paused = true)]
async fn a_turn_whose_caller_leaves_is_kept() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    let held = host.backend.hold_reads().await;
    {
        let mut call = pin!(host.call("a", "add", "1"));
        assert!(poll!(call.as_mut()).is_pending());
        host.backend.has_held().await;
    }
    drop(held);
    assert_eq!(host.call("a", "add", "2").await, ok("12"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_actor_is_deactivated_after_its_time_and_gives_back_its_memory() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    let actors = host.actors.clone();
    tokio::spawn(async move { actors.run_idle_sweep().await });
    let second = Duration::from_secs(1);
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    tokio::time::sleep(IDLE_TIMEOUT / 2).await;
    assert_eq!(host.call("b", "add", "1").await, ok("1"));
    tokio::time::sleep(IDLE_TIMEOUT / 2 - second).await;
    assert_eq!((host.actors.active(), host.instances()), (2, 2));
    tokio::time::sleep(2 * second).await;
    assert_eq!((host.actors.active(), host.instances()), (1, 1), "the other one was called later");
    let hook = |id| host.backend.value(&actor(id), "bye");
    assert_eq!((hook("a").as_deref(), hook("b")), (Some("bye"), None));
    tokio::time::sleep(IDLE_TIMEOUT / 2).await;
    assert_eq!((host.actors.active(), host.instances()), (0, 0));
    assert_eq!(host.call("a", "add", "2").await, ok("12"), "its state is still there");
}

#[tokio::test(start_paused = true)]
async fn an_activation_that_fails_leaves_no_instance_and_the_next_call_tries_again() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    host.backend.fail_reads(true);
    for _ in 0..2 {
        assert_eq!(host.call("a", "count", "").await, code("guest-trapped"));
        assert_eq!(host.instances(), 0);
    }
    host.backend.fail_reads(false);
    assert_eq!(host.call("a", "count", "").await, ok("1"));
    assert_eq!((host.actors.active(), host.instances()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_new_version_takes_over_between_two_turns() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    let next = host.compile("2").await;
    let held = host.backend.hold_reads().await;
    let mut running = pin!(host.call("a", "version", ""));
    let mut waiting = pin!(host.call("a", "version", ""));
    assert!(poll!(running.as_mut()).is_pending());
    host.backend.has_held().await;
    assert!(poll!(waiting.as_mut()).is_pending());
    host.serve(next);
    drop(held);
    assert_eq!((running.await, waiting.await), (ok("1"), ok("2")));
    assert_eq!(host.instances(), 1, "the memory of the other version was given back");
}

#[tokio::test(start_paused = true)]
async fn an_idle_actor_gives_back_the_memory_of_a_version_that_was_replaced() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    host.serve(host.compile("2").await);
    host.actors.drop_outdated_instances("A").await;
    assert_eq!((host.actors.active(), host.instances()), (1, 0));
    assert_eq!(host.call("a", "version", "").await, ok("2"));
    assert_eq!(host.call("a", "get", "").await, ok("1"), "the state is that of the version before");
}

/// A host that has so many KiB left of its budget of memory, and what takes the rest.
async fn with_memory_left(kibibytes: u64) -> (FakeHost, MemoryBudget, Reservation) {
    let memory = MemoryBudget::new(64 * 1024 * 1024, &[("A".into(), 1)].into_iter().collect());
    let host = FakeHost::within(FakeBackend::sound(), memory.clone()).await;
    let mut taken = memory.reservation(MemoryKind::Code, None);
    taken.set(memory.limit() - memory.reserved() - kibibytes * 1024);
    (host, memory, taken)
}

#[tokio::test(start_paused = true)]
async fn idle_instances_make_room_for_others_within_the_budget_of_memory() {
    // An instance takes 48 KiB, and an actor 2 KiB.
    let (host, memory, _taken) = with_memory_left(170).await;
    for (more, value) in [("1", "1"), ("2", "12")] {
        for id in ["a", "b", "c", "d", "e"] {
            assert_eq!(
                host.call(id, "add", more).await,
                ok(value),
                "who loses an instance loses nothing else"
            );
            assert_eq!(memory.excess(), 0, "{memory:?} after {id}");
        }
        assert_eq!((host.actors.active(), host.instances()), (5, 3));
    }
    assert!(memory.evicted() >= 2);
}

#[tokio::test(start_paused = true)]
async fn one_turn_goes_beyond_the_budget_of_memory_and_another_is_refused_after_a_while() {
    let (host, memory, _taken) = with_memory_left(10).await;
    let held = host.backend.hold_reads().await;
    let mut first = pin!(host.call("a", "add", "1"));
    assert!(poll!(first.as_mut()).is_pending());
    host.backend.has_held().await;
    assert!(memory.excess() > 0);
    assert_eq!(host.call("b", "add", "1").await, code("memory-exhausted"));
    drop(held);
    assert_eq!(first.await, ok("1"));
    assert_eq!(host.call("b", "add", "1").await, ok("1"), "the first one is idle, and makes room");
    assert_eq!(host.instances(), 1);
}

/// Those of a type go to another one only as far as it has more than its floor.
#[tokio::test(start_paused = true)]
async fn idle_instances_are_not_dropped_for_another_type_to_which_they_are_not_enough() {
    const KIB: u64 = 1024;
    let memory = MemoryBudget::new(8 * KIB * KIB, &[("A".into(), 1), ("B".into(), 15)].into_iter().collect());
    let host = FakeHost::within(FakeBackend::sound(), memory.clone()).await;
    for id in ["a", "b", "c", "d", "e"] {
        assert_eq!(host.call(id, "add", "1").await, ok("1"));
    }
    let last = host.actors.services.active.get(&actor("e")).expect("it is active");
    entry(&last).await;
    let of_a = memory.accounts().into_iter().filter(|account| account.agent_type.as_deref() == Some("A"));
    let used = of_a.map(|account| account.bytes).sum::<u64>();
    let mut neighbour = memory.reservation(MemoryKind::Instances, Some("B"));
    // More than its floor.
    neighbour.set(memory.limit() / 4);
    let mut taken = memory.reservation(MemoryKind::Code, None);
    // But for the part that is for small bodies.
    taken.set(memory.limit() - memory.limit() / 32 - memory.reserved());
    // A quarter of the budget is divided in advance, by the weights.
    let floor = memory.limit() / 4 / 16;
    assert!(!neighbour.try_grow(used - floor + KIB));
    assert_eq!(host.instances(), 5);
    assert!(neighbour.try_grow(40 * KIB));
    assert_eq!(host.instances(), 4);
}

/// Timers of other actors would end with them.
#[tokio::test(start_paused = true)]
async fn many_actors_of_one_type_do_not_have_those_of_another_deactivated() {
    const MIB: u64 = 1024 * 1024;
    let memory = MemoryBudget::new(64 * MIB, &[("A".into(), 1), ("B".into(), 1)].into_iter().collect());
    let host = FakeHost::within(FakeBackend::sound(), memory.clone()).await;
    let is_crowded = || ["A", "B"].map(|agent_type| host.actors.services.is_crowded(agent_type));
    let [mut of_a, mut of_b] =
        ["A", "B"].map(|agent_type| memory.reservation(MemoryKind::Activations, Some(agent_type)));
    of_b.set(15 * MIB);
    assert_eq!(is_crowded(), [false, false], "together they may have 16 MiB");
    of_a.set(2 * MIB);
    assert_eq!(is_crowded(), [false, true]);
    of_a.set(9 * MIB);
    assert_eq!(is_crowded(), [true, true]);
}

/// The entry of an instance, once its actor is idle.
async fn entry(activation: &Activation) -> Rank {
    loop {
        let entry = activation.lock().idle_entries.instance;
        match entry {
            Some((rank, _)) => return rank,
            None => tokio::task::yield_now().await,
        }
    }
}

/// Whoever needs memory may have taken the entry just before the actor was called again.
#[tokio::test(start_paused = true)]
async fn an_old_entry_gives_up_nothing_of_an_actor_that_was_in_use_since() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    let activation = host.actors.services.active.all().next().expect("it is active");
    let old = entry(&activation).await;
    assert_eq!(host.call("a", "add", "2").await, ok("12"));
    let new = entry(&activation).await;
    assert!(!activation.evict_instance(old));
    assert_eq!(host.instances(), 1);
    assert!(activation.evict_instance(new));
    assert_eq!(host.instances(), 0);
}

//! Removing from the store what has left, while no turn of the actor commits.

use std::sync::atomic::AtomicUsize;

use daca_model::backend::{BindingRequest, Effect, EffectRequest};
use tokio::task::JoinSet;

use super::*;
use crate::actor::RetryPolicy;
use crate::actor::effect_log::{EffectLog, StoredLog, logged};
use crate::fake::event;

/// Longer than it takes until what has left is removed.
const LONG: Duration = Duration::from_secs(25);

/// A host with its own turns for effects, as long as the set lives.
async fn start(backend: Arc<FakeBackend>) -> (FakeHost, JoinSet<()>) {
    let host = FakeHost::retrying(backend, RetryPolicy::attempts(1_000, Duration::from_millis(10))).await;
    let (mut tasks, actors) = (JoinSet::new(), host.actors.clone());
    tasks.spawn(async move { actors.run_effect_turns().await });
    (host, tasks)
}

/// The number of effects that lie in the store.
async fn stored(backend: &FakeBackend) -> usize {
    let stored = StoredLog::read(backend, &actor("a")).await.expect("the log is read");
    EffectLog::default().reload(stored).len()
}

/// The store of a host that has died with so many effects.
async fn with_effects(backend: &FakeBackend, effects: usize) {
    with_log(backend, (0..effects).map(|number| event(&number.to_string()))).await;
}

/// The store of a host that has died with these effects.
async fn with_log(backend: &FakeBackend, effects: impl Iterator<Item = Effect>) {
    let identified = effects.enumerate().map(|(number, effect)| {
        let id = Effect::id_of("turn", number);
        Effect { id, ..effect }
    });
    let effects = logged(identified.collect(), 5).expect("they can be stored");
    let mut commit = TurnCommit::default();
    drop(EffectLog::default().stage(effects, &[], &mut commit));
    backend.commit(&actor("a"), &commit).await.expect("it is kept");
}

#[tokio::test(start_paused = true)]
async fn what_has_left_of_a_backlog_is_removed_without_a_turn_of_the_actor() {
    let backend = FakeBackend::sound();
    with_effects(&backend, 300).await;
    let (host, _tasks) = start(backend).await;
    remind(&host).await;
    assert_eq!(host.delivered().await.len(), 300);
    tokio::time::sleep(LONG).await;
    assert_eq!(host.backend.value(&actor("a"), EFFECTS), None);
    // That of the test, that of the reminder, and the removals.
    assert!(host.backend.commits() <= 2 + 4, "{}", host.backend.commits());
}

#[tokio::test(start_paused = true)]
async fn the_next_host_begins_behind_what_was_removed_while_a_backlog_drained() {
    let limit = Arc::new(AtomicUsize::new(0));
    let until = limit.clone();
    let backend = FakeBackend::delivering(move |name| match name.parse::<usize>() {
        Ok(number) if number < until.load(Ordering::Relaxed) => Ok(()),
        _ => Err(Error::Unavailable("it is away".into())),
    });
    with_effects(&backend, 300).await;
    let (host, _tasks) = start(backend.clone()).await;
    remind(&host).await;
    let has_taken = async |number: usize, wait: Duration| {
        limit.store(number, Ordering::Relaxed);
        let next = number.to_string();
        while backend.tried().last() != Some(&next) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(wait).await;
        stored(&backend).await
    };
    let rest = has_taken(150, Duration::from_millis(100)).await;
    assert!((150..=200).contains(&rest), "after a hundred: {rest}");
    assert_eq!(has_taken(160, LONG).await, 140, "and after a while");

    let before = backend.tried().len();
    let (next, _tasks) = start(backend.clone()).await;
    remind(&next).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let tried = backend.tried().split_off(before);
    assert!(!tried.is_empty() && tried.iter().all(|name| name == "160"), "{tried:?}");
}

/// A text that waits for its binding.
fn sms() -> Effect {
    let request = BindingRequest {
        name: "sms".into(),
        operation: "create".into(),
        data: Bytes::from("x".repeat(400)),
        metadata: [].into(),
    };
    Effect { request: EffectRequest::Send(request), ..event("sms") }
}

/// Most of each segment waits, so that no turn writes one again, and one removal has no room for all of them.
#[tokio::test(start_paused = true)]
async fn what_has_left_goes_from_a_backlog_of_which_another_target_takes_nothing() {
    let backend = FakeBackend::delivering(|name| match name {
        "sms" => Err(Error::Unavailable("it is away".into())),
        _ => Ok(()),
    });
    let pairs = (0..400).flat_map(|number: u32| [event(&number.to_string()), sms()]);
    with_log(&backend, pairs).await;
    let (host, _tasks) = start(backend.clone()).await;
    remind(&host).await;
    tokio::time::sleep(LONG).await;
    assert_eq!(backend.tried().iter().filter(|name| *name != "sms").count(), 400);
    assert_eq!(stored(&backend).await, 400, "each text, and no event");
    let commits = backend.commits();
    tokio::time::sleep(LONG).await;
    assert_eq!(backend.commits(), commits, "there is nothing left to remove");
}

#[tokio::test(start_paused = true)]
async fn turns_that_come_on_take_the_removal_along_and_after_the_last_it_has_one_commit() {
    let (host, _tasks) = start(FakeBackend::sound()).await;
    for turn in 1..=12 {
        assert!(host.call("a", "add", "1").await.is_ok());
        assert_eq!(host.delivered().await.len(), turn);
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(host.backend.commits(), turn as u64);
        assert_eq!(stored(&host.backend).await, 1);
    }
    tokio::time::sleep(LONG).await;
    assert_eq!(host.backend.value(&actor("a"), EFFECTS), None);
    assert_eq!(host.backend.commits(), 13);
    assert_eq!(host.backend.wakeups(&actor("a")), [EFFECTS], "it is the reminder's to go");
    tokio::time::sleep(LONG).await;
    assert_eq!(host.backend.commits(), 13, "there is nothing left to remove");
}

/// The actor may be active elsewhere.
#[tokio::test(start_paused = true)]
async fn a_host_without_the_lease_removes_nothing_and_a_removal_that_fails_loses_nothing() {
    let (host, _tasks) = start(FakeBackend::sound()).await;
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    host.backend.end_leases();
    tokio::time::sleep(LONG).await;
    assert_eq!((host.backend.commits(), stored(&host.backend).await), (1, 1));

    let commits = AtomicU32::new(0);
    let backend =
        FakeBackend::committing(move |_: &TurnCommit| match commits.fetch_add(1, Ordering::Relaxed) {
            1 => Err(Error::NotApplied("it was refused".into())),
            _ => Ok(()),
        });
    let (host, _tasks) = start(backend).await;
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    tokio::time::sleep(LONG).await;
    assert_eq!((host.backend.commits(), stored(&host.backend).await), (2, 1));
    assert_eq!(host.call("a", "add", "2").await, ok("12"));
    assert_eq!(host.delivered().await, ["1", "2"], "each once");
    tokio::time::sleep(LONG).await;
    assert_eq!(host.backend.value(&actor("a"), EFFECTS), None);
}

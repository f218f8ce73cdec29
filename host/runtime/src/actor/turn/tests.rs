use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use daca_model::backend::{EFFECTS, Error, FiredWakeup, StateStore as _, StateWrite, TurnCommit};
use daca_model::{CallContext, CallIdentity};
use futures::poll;
use tokio::time::Instant;

use crate::actor::effect_log::{self, DEAD_LETTERS};
use crate::fake::{FakeBackend, FakeHost, actor, code, ok};

mod firing;
mod overlap;
mod removal;
mod waiting;

type Answer = Result<(), Error>;

/// A backend that gives this answer to the first commit alone.
fn first_commit(answer: fn() -> Answer) -> Arc<FakeBackend> {
    let commits = AtomicU32::new(0);
    FakeBackend::committing(move |_: &TurnCommit| match commits.fetch_add(1, Ordering::Relaxed) {
        0 => answer(),
        _ => Ok(()),
    })
}

#[tokio::test(start_paused = true)]
async fn state_and_events_of_a_turn_are_kept_together_or_not_at_all() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    assert_eq!(host.call("a", "trap", "2").await, code("guest-trapped"));
    assert_eq!(host.call("a", "fail", "3").await, code("failed"));
    assert_eq!(host.call("a", "add", "a reply that is too long").await, code("reply-too-large"));
    assert_eq!(host.call("a", "get", "").await, ok("1"), "later turns see the state from before");
    assert_eq!(host.call("a", "add", "4").await, ok("14"));
    assert_eq!(host.backend.value(&actor("a"), "k").as_deref(), Some("14"));
    assert_eq!(host.delivered().await, ["1", "4"]);
}

/// What is in the memory of a guest may be of a turn that was not kept.
#[tokio::test(start_paused = true)]
async fn an_instance_outlives_its_turns_unless_one_fails() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    assert_eq!(host.call("a", "count", "").await, ok("1"));
    assert_eq!(host.call("a", "count", "").await, ok("2"));
    for (method, failure) in [("fail", "failed"), ("trap", "guest-trapped")] {
        assert_eq!(host.call("a", method, "x").await, code(failure));
        assert_eq!(host.instances(), 0, "{method}");
        assert_eq!(host.call("a", "count", "").await, ok("1"), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_commit_leaves_neither_state_nor_events() {
    let host = FakeHost::start(first_commit(|| Err(Error::NotApplied("it was refused".into())))).await;
    assert_eq!(host.call("a", "add", "1").await, code("not-done"));
    assert_eq!(host.call("a", "get", "").await, ok(""));
    assert_eq!(host.call("a", "add", "2").await, ok("2"));
    assert_eq!(host.delivered().await, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_was_lost_is_settled_before_the_next_turn() {
    let host = FakeHost::start(first_commit(|| Err(Error::Unavailable("the answer was lost".into())))).await;
    assert_eq!(host.call("a", "add", "1").await, code("backend-unavailable"));
    assert_eq!(host.delivered().await, [""; 0], "whether it was kept is not known yet");
    host.backend.fail_reads(true);
    assert_eq!(host.call("a", "add", "2").await, code("backend-unavailable"), "it cannot be known");
    host.backend.fail_reads(false);
    assert_eq!(host.call("a", "add", "3").await, ok("13"));
    assert_eq!(host.delivered().await, ["1", "3"], "each once, in the order of the turns");
}

/// Whatever tells a repeated call, and also on the actor's next host.
#[tokio::test(start_paused = true)]
async fn a_repeated_call_is_answered_without_a_second_turn() {
    let mark = Arc::<str>::from("daca:mark:");
    let attempt = CallIdentity::Attempt(mark.clone());
    for (identity, mark, again) in [
        (CallIdentity::Key("key".into()), None, "1"),
        (attempt, Some(mark), "1"),
        // Nobody reads the reply to a message.
        (CallIdentity::Message("b/t/0/1/1000".into()), None, ""),
    ] {
        let context = CallContext { identity: Some(identity.clone()), mark, ..CallContext::default() };
        let host = FakeHost::start(FakeBackend::sound()).await;
        assert_eq!(host.call_as("a", "add", "1", context.clone()).await, ok("1"), "{identity:?}");
        assert_eq!(host.call_as("a", "add", "1", context.clone()).await, ok(again), "{identity:?}");
        let next = FakeHost::start(host.backend.clone()).await;
        assert_eq!(next.call_as("a", "add", "1", context).await, ok(again), "{identity:?}");
        assert_eq!(next.call("a", "get", "").await, ok("1"), "{identity:?}");
        assert_eq!(host.delivered().await, ["1"], "{identity:?}");
        assert_eq!(next.delivered().await, ["1"], "{identity:?}: both hosts have one outside");
    }
}

/// As during a rolling update: the actor's next host may know the format.
#[tokio::test(start_paused = true)]
async fn a_turn_that_needs_what_a_newer_host_has_written_is_refused_and_nothing_is_lost() {
    let newer = r#"{"format":2,"calls":[]}"#;
    for (key, identity) in [
        ("daca:called", Some(CallIdentity::Key("key".into()))),
        ("daca:attempts", Some(CallIdentity::Attempt("daca:mark:".into()))),
        ("daca:consumed", Some(CallIdentity::Message("b/t/0/1/1000".into()))),
        (EFFECTS, None),
    ] {
        let backend = FakeBackend::sound();
        let write = StateWrite::Set { value: newer.into(), ttl: None };
        let commit = TurnCommit { writes: [(key.to_owned(), write)].into(), ..TurnCommit::default() };
        backend.commit(&actor("a"), &commit).await.expect("it is kept");
        let host = FakeHost::start(backend).await;
        let context = CallContext { identity, ..CallContext::default() };
        assert_eq!(host.call_as("a", "add", "1", context).await, code("state-too-new"), "{key}");
        assert_eq!(host.backend.value(&actor("a"), key).as_deref(), Some(newer), "{key}");
        assert_eq!(host.backend.value(&actor("a"), "k"), None, "{key}");
        assert_eq!(host.delivered().await, [""; 0], "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_of_one_call_alone() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    let identity = Some(CallIdentity::Key("key".into()));
    let context = CallContext { identity, ..CallContext::default() };
    assert_eq!(host.call_as("a", "add", "1", context.clone()).await, ok("1"));
    assert_eq!(host.call_as("a", "add", "2", context.clone()).await, code("idempotency-key-reused"));
    assert_eq!(host.call_as("b", "add", "2", context).await, ok("2"), "of one actor");
    assert_eq!(host.call("a", "get", "").await, ok("1"));
}

#[tokio::test(start_paused = true)]
async fn an_event_with_the_id_of_another_one_is_refused_and_a_message_is_what_its_position_says() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    let next = FakeHost::start(host.backend.clone()).await;
    let context = |identity| CallContext { identity: Some(identity), ..CallContext::default() };
    let event = context(CallIdentity::of_event("abc"));
    assert_eq!(host.call_as("a", "add", "1", event.clone()).await, ok("1"));
    for host in [&host, &next] {
        assert_eq!(host.call_as("a", "add", "1", event.clone()).await, ok(""));
        assert_eq!(host.call_as("a", "add", " 1\n", event.clone()).await, ok(""), "it means the same");
        assert_eq!(host.call_as("a", "add", "2", event.clone()).await, code("event-id-reused"));
    }
    assert_eq!(host.call_as("b", "add", "2", event).await, ok("2"), "another actor has not handled it");
    let other = context(CallIdentity::of_event("abd"));
    assert_eq!(host.call_as("a", "add", "3", other).await, ok("13"));
    let message = context(CallIdentity::Message("event:/t/0/1/1000".into()));
    assert_eq!(host.call_as("a", "add", "4", message.clone()).await, ok("134"));
    assert_eq!(host.call_as("a", "add", "5", message).await, ok(""));
}

/// A failed turn has handled nothing, so its call may be repeated.
#[tokio::test(start_paused = true)]
async fn a_call_whose_turn_failed_runs_again() {
    let host = FakeHost::start(first_commit(|| Err(Error::NotApplied("it was refused".into())))).await;
    let identity = Some(CallIdentity::Key("key".into()));
    let context = CallContext { identity, ..CallContext::default() };
    assert_eq!(host.call_as("a", "add", "1", context.clone()).await, code("not-done"));
    assert_eq!(host.call_as("a", "add", "1", context).await, ok("1"));
    assert_eq!(host.delivered().await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_lease_ends_before_its_commit_keeps_nothing() {
    let ends: [fn(&FakeHost); 2] =
        [|host| host.actors.give_up_actor(&actor("a")), |host| host.backend.begin_epoch()];
    for end in ends {
        let host = FakeHost::start(FakeBackend::sound()).await;
        let held = host.backend.hold_reads().await;
        {
            let mut call = pin!(host.call("a", "add", "1"));
            assert!(poll!(call.as_mut()).is_pending());
            host.backend.has_held().await;
            end(&host);
            drop(held);
            assert_eq!(call.await, code("not-done"));
        }
        assert_eq!(host.backend.value(&actor("a"), "k"), None);
        assert_eq!(host.call("a", "add", "2").await, ok("2"));
        assert_eq!(host.delivered().await, ["2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_known_before_another_host_may_have_owned_the_actor_is_read_again() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    let other = FakeHost::start(host.backend.clone()).await;
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    assert_eq!(other.call("a", "add", "2").await, ok("12"));
    host.backend.begin_epoch();
    assert_eq!(host.call("a", "add", "3").await, ok("123"));
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_runs_out_of_time_keeps_nothing() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    let held = host.backend.hold_reads().await;
    assert_eq!(host.call("a", "add", "1").await, code("turn-time-exceeded"));
    drop(held);
    assert_eq!(host.call("a", "add", "2").await, ok("2"));
    assert_eq!(host.delivered().await, ["2"]);
}

/// The store of a host that was killed after a turn, before its event had left.
async fn killed() -> Arc<FakeBackend> {
    let tries = AtomicU32::new(0);
    let host =
        FakeHost::start(FakeBackend::delivering(move |_| match tries.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::Unavailable("it is away".into())),
            _ => Ok(()),
        }));
    let host = host.await;
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    assert_eq!(host.delivered().await, ["1"], "the only try has failed");
    host.backend
}

/// The turn of the host's reminder.
async fn remind(host: &FakeHost) {
    let fired = FiredWakeup { key: effect_log::reminder(), token: 0 };
    let woken = host.actors.wake(&actor("a"), fired, Bytes::new(), CallContext::default()).await;
    assert!(woken.is_ok(), "{woken:?}");
}

#[tokio::test(start_paused = true)]
async fn effects_lie_with_the_state_until_they_have_left_and_the_actor_commits_again() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    assert!(host.backend.value(&actor("a"), EFFECTS).is_some_and(|log| log.contains("\"text\":\"1\"")));
    assert_eq!(host.backend.wakeups(&actor("a")), [EFFECTS]);
    assert_eq!(host.delivered().await, ["1"]);
    assert_eq!(host.call("a", "add", "2").await, ok("12"));
    let log = host.backend.value(&actor("a"), EFFECTS).unwrap_or_default();
    assert!(!log.contains("\"text\":\"1\"") && log.contains("\"text\":\"2\""), "{log}");
    assert_eq!(host.delivered().await, ["1", "2"]);
    // The first firing finds that the actor is in use, and the second that it is not.
    for expected in [&[EFFECTS][..], &[]] {
        remind(&host).await;
        assert_eq!(host.backend.value(&actor("a"), EFFECTS), None);
        assert_eq!(host.backend.wakeups(&actor("a")), expected);
    }
    assert_eq!(host.delivered().await, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn effects_of_a_killed_host_leave_from_the_next_one() {
    let reminded = FakeHost::start(killed().await).await;
    remind(&reminded).await;
    assert_eq!(reminded.delivered().await, ["1", "1"]);
    let called = FakeHost::start(killed().await).await;
    assert_eq!(called.call("a", "add", "2").await, ok("12"));
    assert_eq!(called.delivered().await, ["1", "1", "2"], "in the order of the turns");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_activation_cleans_up_after_its_effects() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    assert_eq!(host.delivered().await, ["1"]);
    assert_eq!(host.actors.deactivate_all(Instant::now() + Duration::from_secs(60)).await, 0);
    assert_eq!(host.backend.value(&actor("a"), EFFECTS), None);
    assert_eq!(host.backend.wakeups(&actor("a")), [""; 0]);
}

/// The effects of a hook would lead to the next turn of the host, and that to the next hook.
#[tokio::test(start_paused = true)]
async fn an_activation_that_had_turns_of_the_host_alone_ends_without_a_hook() {
    let host = FakeHost::start(killed().await).await;
    remind(&host).await;
    assert_eq!(host.delivered().await, ["1", "1"]);
    assert_eq!(host.actors.deactivate_all(Instant::now() + Duration::from_secs(60)).await, 0);
    assert_eq!(host.backend.value(&actor("a"), "bye"), None);
    assert_eq!(host.backend.value(&actor("a"), EFFECTS), None);
    assert_eq!(host.backend.wakeups(&actor("a")), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_delivered_becomes_a_dead_letter_of_its_actor() {
    let host = FakeHost::start(FakeBackend::delivering(|name| match name {
        "1" => Err(Error::Invalid("no such topic".into())),
        _ => Ok(()),
    }));
    let host = host.await;
    let actors = host.actors.clone();
    let burials = tokio::spawn(async move { actors.run_effect_turns().await });
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    assert_eq!(host.delivered().await, ["1"]);
    let letters = || host.backend.value(&actor("a"), DEAD_LETTERS).unwrap_or_default();
    while letters().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(letters().contains("no such topic") && letters().contains("\"text\":\"1\""), "{}", letters());
    assert_eq!(host.backend.value(&actor("a"), EFFECTS), None, "it is not tried again");
    assert_eq!(host.call("a", "add", "2").await, ok("12"));
    assert_eq!(host.delivered().await, ["1", "2"]);
    burials.abort();
}

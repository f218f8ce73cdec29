//! Calls that the actor's previous host handles while this one has it.

use super::*;
use crate::fake::OVERLAP;

/// Calls that an actor's two hosts get at the same time: the first one, and one that comes to both.
fn overlapping() -> [([CallContext; 2], &'static str); 4] {
    let context = |identity, mark: Option<&str>| CallContext {
        identity: Some(identity),
        mark: mark.map(Arc::from),
        ..CallContext::default()
    };
    let attempt = |mark: &str| context(CallIdentity::Attempt(mark.into()), Some(mark));
    [
        (["x", "y"].map(|key| context(CallIdentity::Key(key.into()), None)), "12"),
        (["b/t/0/1/1", "b/t/0/2/1"].map(|place| context(CallIdentity::Message(place.into()), None)), ""),
        (["ab", "cd"].map(|hash| context(CallIdentity::of_event(hash), None)), ""),
        (["daca:x:", "daca:y:"].map(attempt), "12"),
    ]
}

/// What the host knows of the log is outdated, and the store says so at the commit. Calls of hosts come from sidecars
/// alone.
#[tokio::test(start_paused = true)]
async fn a_call_that_another_host_has_handled_meanwhile_is_refused_by_the_transaction() {
    for ([first, both], again) in overlapping().into_iter().take(3) {
        let host = FakeHost::start(FakeBackend::sound()).await;
        let next = FakeHost::start(host.backend.clone()).await;
        assert_eq!(host.call_as("a", "add", "1", first).await, ok("1"), "{both:?}");
        assert_eq!(next.call_as("a", "add", "2", both.clone()).await, ok("12"), "{both:?}");
        assert_eq!(host.call_as("a", "add", "2", both.clone()).await, code("not-done"), "{both:?}");
        assert_eq!(host.call_as("a", "add", "2", both.clone()).await, ok(again), "{both:?}");
        kept_once(&host, &next).await;
    }
}

/// The event of the second call has left once. That of the first lay in the log, and may have left from both hosts.
async fn kept_once(host: &FakeHost, next: &FakeHost) {
    assert_eq!(host.backend.value(&actor("a"), "k").as_deref(), Some("12"));
    next.delivered().await;
    assert_eq!(host.delivered().await.iter().filter(|event| *event == "2").count(), 1);
}

/// A sidecar compares nothing, so the host reads the mark again.
#[tokio::test(start_paused = true)]
async fn a_call_that_another_host_has_handled_meanwhile_gets_its_answer_behind_a_sidecar() {
    another_host_handles_a_call(Duration::ZERO).await;
}

/// Behind a sidecar, another host handles a call, which comes to the first one, too, after this time.
async fn another_host_handles_a_call(time: Duration) {
    for ([first, both], again) in overlapping() {
        let host = FakeHost::start(FakeBackend::sound()).await;
        host.backend.behave_like_a_sidecar();
        let next = FakeHost::start(host.backend.clone()).await;
        assert_eq!(host.call_as("a", "add", "1", first).await, ok("1"), "{both:?}");
        assert_eq!(next.call_as("a", "add", "2", both.clone()).await, ok("12"), "{both:?}");
        tokio::time::advance(time).await;
        assert_eq!(host.call_as("a", "add", "2", both.clone()).await, ok(again), "{both:?}");
        kept_once(&host, &next).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_cannot_be_read_again_keeps_the_turn_from_its_commit() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    host.backend.behave_like_a_sidecar();
    let [[first, second], ..] = overlapping().map(|(contexts, _)| contexts);
    assert_eq!(host.call_as("a", "add", "1", first).await, ok("1"));
    host.backend.fail_reads(true);
    assert_eq!(host.call_as("a", "add", "2", second.clone()).await, code("not-done"));
    assert_eq!(host.backend.value(&actor("a"), "k").as_deref(), Some("1"));
    host.backend.fail_reads(false);
    assert_eq!(host.call_as("a", "add", "2", second).await, ok("12"));
}

/// What another host has done by then is in the log that it reads once more.
#[tokio::test(start_paused = true)]
async fn an_actor_that_has_been_here_for_long_reads_its_log_once_more_and_no_mark_again() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    host.backend.behave_like_a_sidecar();
    let context = |key: &str| {
        let identity = Some(CallIdentity::Key(key.into()));
        CallContext { identity, ..CallContext::default() }
    };
    assert_eq!(host.call_as("a", "add", "1", context("1")).await, ok("1"));
    tokio::time::advance(OVERLAP).await;
    let reads = host.backend.reads();
    for (call, value) in [("2", "12"), ("3", "123"), ("4", "1234")] {
        assert_eq!(host.call_as("a", "add", call, context(call)).await, ok(value));
        assert_eq!(host.backend.reads(), reads + 1, "{call}");
    }
}

/// This host had read its log by then, and the call comes again after the overlap.
#[tokio::test(start_paused = true)]
async fn a_call_that_another_host_has_handled_during_the_overlap_is_known_after_it() {
    another_host_handles_a_call(OVERLAP).await;
}

/// It was looked up during the overlap, and commits after it.
#[tokio::test(start_paused = true)]
async fn a_turn_that_is_longer_than_the_overlap_does_not_repeat_what_another_host_has_handled() {
    let place = CallIdentity::Message("b/t/0/1/1".into());
    let context = CallContext { identity: Some(place), ..CallContext::default() };
    let other = FakeHost::start(FakeBackend::sound()).await;
    assert_eq!(other.call_as("a", "add", "1", context.clone()).await, ok("1"));
    let marks = other.backend.value(&actor("a"), "daca:consumed").expect("it is marked");

    let host = FakeHost::start(FakeBackend::sound()).await;
    host.backend.behave_like_a_sidecar();
    let held = host.backend.hold_reads().await;
    let mut call = pin!(host.call_as("a", "add", "1", context));
    assert!(poll!(call.as_mut()).is_pending());
    host.backend.has_held().await;
    // The read of the log goes on, and that of the guest waits.
    let mut next = pin!(host.backend.hold_reads());
    assert!(poll!(next.as_mut()).is_pending());
    drop(held);
    let held = next.await;
    host.backend.has_held().await;
    tokio::time::advance(OVERLAP).await;
    let write = StateWrite::Set { value: marks.into(), ttl: None };
    let commit = TurnCommit { writes: [("daca:consumed".to_owned(), write)].into(), ..TurnCommit::default() };
    host.backend.commit(&actor("a"), &commit).await.expect("it is kept");
    drop(held);
    assert_eq!(call.await, ok(""));
    assert_eq!(host.backend.value(&actor("a"), "k"), None);
    assert_eq!(host.delivered().await, [""; 0]);
}

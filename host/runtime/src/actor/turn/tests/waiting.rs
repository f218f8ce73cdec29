//! Turns of actors whose effects wait, and the bounds on them.

use super::*;
use crate::actor::RetryPolicy;
use crate::fake::IDLE_TIMEOUT;

/// A host whose effects wait, because everything that they go to is away.
async fn waiting() -> FakeHost {
    let backend = FakeBackend::delivering(|_| Err(Error::Unavailable("it is away".into())));
    let day = Duration::from_secs(24 * 3_600);
    let policy = RetryPolicy { retry_for: day, ..RetryPolicy::attempts(5, Duration::from_secs(1)) };
    FakeHost::retrying(backend, policy).await
}

/// The reminder keeps it active for as long as its effects wait.
#[tokio::test(start_paused = true)]
async fn an_actor_whose_effects_wait_keeps_no_instance_in_memory() {
    let host = waiting().await;
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    for (wait, instances) in [(IDLE_TIMEOUT / 2, 1), (IDLE_TIMEOUT, 0)] {
        tokio::time::sleep(wait).await;
        remind(&host).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(host.instances(), instances, "{wait:?}");
    }
    assert_eq!(host.call("a", "add", "2").await, ok("12"));
    assert_eq!(host.instances(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_no_message_of_a_sidecar_could_carry_is_refused_when_it_is_requested() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    host.backend.limit_commits(400);
    // The agent traps because the import has failed.
    assert_eq!(host.call("a", "add", "1").await, code("guest-trapped"));
    host.backend.limit_commits(4_000);
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
}

/// Effects that wait are in each commit, so the turn alone does not tell.
#[tokio::test(start_paused = true)]
async fn a_commit_that_is_too_large_for_a_sidecar_is_refused_and_nothing_of_it_kept() {
    let host = waiting().await;
    host.backend.limit_commits(1_000);
    let mut value = String::new();
    let refused = loop {
        match host.call("a", "add", "1").await {
            Ok(reply) => value = reply,
            Err(code) => break code,
        }
    };
    assert_eq!(refused, "sidecar-message-too-large", "after {value:?}");
    assert!(!value.is_empty());
    assert_eq!(host.backend.value(&actor("a"), "k"), Some(value.clone()));
    assert_eq!(host.backend.registrations(), 1);
    host.backend.limit_commits(0);
    assert_eq!(host.call("a", "add", "2").await, Ok(value + "2"));
}

/// The end of an activation, and the reminder, have more to do than that.
#[tokio::test(start_paused = true)]
async fn what_was_given_up_waits_in_the_log_while_it_is_too_large_for_a_commit() {
    let backend = FakeBackend::delivering(|_| Err(Error::Invalid("no such topic".into())));
    let host = FakeHost::start(backend).await;
    assert_eq!(host.call("a", "add", "1").await, ok("1"));
    host.delivered().await;
    let log = host.backend.value(&actor("a"), EFFECTS).expect("it is kept until it is a dead letter");
    // Enough for the log as it is, and not for the dead letter.
    host.backend.limit_commits((log.len() + EFFECTS.len() + 100) as u64);
    remind(&host).await;
    assert_eq!(host.backend.value(&actor("a"), DEAD_LETTERS), None);
    assert_eq!(host.backend.value(&actor("a"), EFFECTS), Some(log));
    host.backend.limit_commits(0);
    remind(&host).await;
    assert!(host.backend.value(&actor("a"), DEAD_LETTERS).is_some());
    assert_eq!(host.backend.value(&actor("a"), EFFECTS), None);
    assert_eq!(host.backend.tried(), ["1"]);
}

/// The turn that waits, and the one nested in it.
#[tokio::test(start_paused = true)]
async fn nested_turns_share_the_effect_log_and_its_reminder() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    let context = CallContext { reentrancy_id: Some("r".into()), ..CallContext::default() };
    let held = host.backend.hold_reads().await;
    let mut outer = pin!(host.call_as("a", "add", "1", context.clone()));
    assert!(poll!(outer.as_mut()).is_pending());
    host.backend.has_held().await;
    let mut nested = pin!(host.call_as("a", "add", "2", context.with(&actor("a"))));
    assert!(poll!(nested.as_mut()).is_pending());
    host.backend.has_held().await;
    drop(held);
    assert!(nested.await.is_ok() && outer.await.is_ok());
    let mut delivered = host.delivered().await;
    delivered.sort();
    assert_eq!(delivered, ["1", "2"]);
    assert_eq!((host.backend.reads_of(EFFECTS), host.backend.registrations()), (1, 1));
    assert_eq!(host.call("a", "add", "3").await.map(drop), Ok(()));
    assert_eq!((host.backend.reads_of(EFFECTS), host.backend.registrations()), (1, 1));
}

//! A one-shot reminder whose scheduler lets it fire until a commit has removed it.

use daca_model::backend::{WakeupKey, WakeupKind};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_firing_that_comes_again_after_its_turn_ends_its_reminder_and_nothing_else() {
    let ended = Arc::new(AtomicU32::new(0));
    let seen = ended.clone();
    let backend = FakeBackend::committing(move |commit: &TurnCommit| {
        if commit.handled.as_ref().is_some_and(|fired| fired.token == 7) {
            seen.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    });
    let identity = Some(CallIdentity::of_firing(7));
    let context = CallContext { identity, ..CallContext::default() };
    let host = FakeHost::start(backend).await;
    // The agent of these tests has no handler for reminders: a call stands for the first firing.
    assert_eq!(host.call_as("a", "add", "1", context.clone()).await, ok("1"));
    let next = FakeHost::start(host.backend.clone()).await;
    for (again, host) in (1..).zip([&host, &next]) {
        let key = WakeupKey { kind: WakeupKind::Reminder, name: "r".to_owned() };
        let fired = FiredWakeup { key, token: 7 };
        let context = CallContext { is_woken: true, ..context.clone() };
        let woken = host.actors.wake(&actor("a"), fired, Bytes::new(), context).await;
        assert!(woken.is_ok(), "{woken:?}");
        assert_eq!(ended.load(Ordering::Relaxed), again);
        assert_eq!(host.call("a", "get", "").await, ok("1"));
    }
}

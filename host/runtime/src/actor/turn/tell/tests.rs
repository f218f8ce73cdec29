use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daca_model::CallContext;
use daca_model::backend::{EFFECTS, Error, FailedEffect, FiredWakeup, WakeupKey, WakeupKind};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::actor::effect_log::{self, DEAD_LETTERS};
use crate::fake::{FakeBackend, FakeHost, actor};

/// Refuses every event but `1`.
fn refusing() -> Arc<FakeBackend> {
    FakeBackend::delivering(|name| match name {
        "1" => Ok(()),
        _ => Err(Error::Invalid("no such topic".into())),
    })
}

/// A host that makes dead letters, and tells its agents, as long as the set lives.
async fn start(backend: Arc<FakeBackend>) -> (FakeHost, JoinSet<()>) {
    let host = FakeHost::start(backend).await;
    let (mut tasks, actors) = (JoinSet::new(), host.actors.clone());
    tasks.spawn(async move { actors.run_effect_turns().await });
    (host, tasks)
}

/// Waits until no effect is on its way, and no agent is to be told now.
async fn rest(host: &FakeHost) {
    loop {
        let tried = host.delivered().await;
        if !host.actors.has_burials() && host.delivered().await == tried {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The host's reminder fires.
async fn remind(host: &FakeHost) {
    let fired = FiredWakeup { key: effect_log::reminder(), token: 0 };
    let woken = host.actors.wake(&actor("a"), fired, Bytes::new(), CallContext::default()).await;
    assert!(woken.is_ok(), "{woken:?}");
    rest(host).await;
}

async fn letters(host: &FakeHost) -> Vec<FailedEffect> {
    host.actors.dead_letters(&actor("a")).await.expect("they can be read")
}

async fn told(host: &FakeHost) -> Vec<bool> {
    letters(host).await.iter().map(|letter| letter.is_told).collect()
}

/// What the handler has kept.
fn handled(host: &FakeHost) -> Option<String> {
    host.backend.value(&actor("a"), "told")
}

async fn add(host: &FakeHost, event: &str) {
    assert!(host.call("a", "add", event).await.is_ok(), "{event}");
    rest(host).await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_is_told_once_of_each_effect_that_failed() {
    let (host, _tasks) = start(refusing()).await;
    add(&host, "1").await;
    assert_eq!(handled(&host), None);
    add(&host, "2").await;
    assert_eq!(handled(&host).as_deref(), Some("2"));
    let reasons = letters(&host).await;
    assert!(
        matches!(&reasons[..], [FailedEffect { reason: Error::Invalid(text), is_told: true, .. }] if text == "no such topic")
    );
    add(&host, "3").await;
    for _ in 0..3 {
        remind(&host).await;
    }
    assert_eq!((handled(&host).as_deref(), told(&host).await), (Some("23"), vec![true, true]));
    assert_eq!(host.backend.wakeups(&actor("a")), [""; 0], "nobody waits for anything");
}

/// One failure would lead to the next, for ever.
#[tokio::test(start_paused = true)]
async fn an_agent_is_not_told_of_effects_of_its_own_handler() {
    let (host, _tasks) = start(refusing()).await;
    add(&host, "P").await;
    remind(&host).await;
    assert_eq!(host.delivered().await, ["P", "P"]);
    assert_eq!((handled(&host).as_deref(), told(&host).await), (Some("P"), vec![true, false]));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_is_tried_for_a_while_and_holds_up_nothing() {
    for fails in ["T", "F"] {
        let (host, _tasks) = start(refusing()).await;
        add(&host, fails).await;
        add(&host, "2").await;
        assert_eq!(handled(&host).as_deref(), Some("2"), "{fails}");
        assert_eq!(host.backend.wakeups(&actor("a")), [EFFECTS], "{fails}");
        for _ in 0..8 {
            remind(&host).await;
        }
        let stored = host.backend.value(&actor("a"), DEAD_LETTERS).unwrap_or_default();
        assert!(stored.contains("\"told_failures\":5"), "{stored}");
        assert_eq!(told(&host).await, [false, true], "{fails}");
        assert_eq!(host.backend.wakeups(&actor("a")), [""; 0], "{fails}");
        assert_eq!(host.call("a", "get", "").await, Ok(format!("{fails}2")));
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_host_died_after_the_burial_is_told_by_the_next_one() {
    let dead = FakeHost::start(refusing()).await;
    assert!(dead.call("a", "add", "2").await.is_ok());
    dead.delivered().await;
    // Nobody tells agents there.
    let fired = FiredWakeup { key: effect_log::reminder(), token: 0 };
    let buried = dead.actors.wake(&actor("a"), fired, Bytes::new(), CallContext::default()).await;
    assert!(buried.is_ok(), "{buried:?}");
    assert_eq!((told(&dead).await, handled(&dead)), (vec![false], None));
    assert_eq!(dead.backend.wakeups(&actor("a")), [EFFECTS]);

    let (next, _tasks) = start(dead.backend.clone()).await;
    remind(&next).await;
    assert_eq!((told(&next).await, handled(&next).as_deref()), (vec![true], Some("2")));
    // An effect of the hook that fails would lead to the next telling, and that to the next hook.
    assert_eq!(next.actors.deactivate_all(Instant::now() + Duration::from_secs(60)).await, 0);
    assert_eq!(next.backend.value(&actor("a"), "bye"), None);
}

/// It is the newer host's, and fires there some day.
#[tokio::test(start_paused = true)]
async fn an_agent_never_sees_a_reminder_of_a_newer_host() {
    let host = FakeHost::start(FakeBackend::sound()).await;
    for kind in [WakeupKind::Reminder, WakeupKind::Timer] {
        let fired = FiredWakeup { key: WakeupKey { kind, name: "daca:new".to_owned() }, token: 0 };
        let woken = host.actors.wake(&actor("a"), fired, Bytes::new(), CallContext::default()).await;
        let refused = woken.expect_err("this host does not know it");
        assert_eq!(refused.code().to_string(), "wakeup-of-newer-host");
        assert!(refused.is_refusal(), "no attempt counts");
    }
    assert_eq!(host.actors.active(), 0, "nobody was woken");
}

//! Reminders and timers: when they fire, that they are tried again, and that a reminder is never lost.

use std::time::Duration;

use daca_tests::{Host, LONGER_AND_LONGER, eventually, exerciser, message};
use serde_json::{Value, json};

async fn fired(host: &Host, actor: &str) -> anyhow::Result<Vec<Value>> {
    let fired = host.call(actor, "Fired", &Value::Null).await?;
    Ok(fired.as_array().cloned().unwrap_or_default())
}

async fn until_fired(host: &Host, actor: &str, times: usize) -> anyhow::Result<Vec<Value>> {
    eventually("it has fired so often", async || Ok(fired(host, actor).await?.len() >= times)).await?;
    fired(host, actor).await
}

fn firing(kind: &str, name: &str, data: &Value) -> Value {
    json!({"kind": kind, "name": name, "data": data})
}

/// Waits until a reminder that is registered now has fired, and removes its trace. Whatever was due before has fired as well then.
async fn sentinel(host: &Host, actor: &str) -> anyhow::Result<Vec<Value>> {
    host.call(actor, "RegisterReminder", &json!({"name": "sentinel", "due_ms": 0})).await?;
    let is_sentinel = |one: &Value| one["name"] == "sentinel";
    eventually("the sentinel fires", async || Ok(fired(host, actor).await?.iter().any(is_sentinel))).await?;
    let mut fired = fired(host, actor).await?;
    fired.retain(|one| !is_sentinel(one));
    Ok(fired)
}

#[tokio::test]
async fn what_fires_once_fires_once_with_its_data() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    for (kind, name) in [("reminder", "Reminder"), ("timer", "Timer")] {
        let actor = format!("Exerciser/{kind}");
        let data = json!({"n": [1, "ü"]});
        let once = json!({"name": "once", "due_ms": 30, "data": data});
        host.call(&actor, &format!("Register{name}"), &once).await?;
        assert_eq!(until_fired(&host, &actor, 1).await?, [firing(kind, "once", &data)]);
        eventually("a registration that has fired is gone", async || {
            Ok(host.call(&actor, &format!("Get{name}"), &json!({"name": "once"})).await?.is_null())
        })
        .await?;
        assert_eq!(sentinel(&host, &actor).await?, [firing(kind, "once", &data)]);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_periodic_fires_until_it_is_unregistered_or_its_time_is_over() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    for (kind, name) in [("reminder", "Reminder"), ("timer", "Timer")] {
        let register = format!("Register{name}");
        let get = format!("Get{name}");
        let outside = format!("Exerciser/{kind}-outside");
        let inside = format!("Exerciser/{kind}-inside");
        let limited = format!("Exerciser/{kind}-limited");
        let pace = format!("Exerciser/{kind}-pace");
        let by_itself = json!({"unregister": true});
        host.call(&inside, &register, &json!({"name": "p", "due_ms": 0, "period_ms": 20, "data": by_itself}))
            .await?;
        host.call(&outside, &register, &json!({"name": "p", "due_ms": 0, "period_ms": 20})).await?;
        let limit = json!({"name": "p", "due_ms": 0, "period_ms": 250, "ttl_ms": 2_000});
        host.call(&limited, &register, &limit).await?;
        host.call(&pace, &register, &json!({"name": "p", "due_ms": 0, "period_ms": 250})).await?;

        until_fired(&host, &outside, 4).await?;
        host.call(&outside, &format!("Unregister{name}"), &json!({"name": "p"})).await?;
        let times = sentinel(&host, &outside).await?.len();
        // A turn that unregisters what it was called for is the last one.
        assert_eq!(until_fired(&host, &inside, 1).await?, [firing(kind, "p", &by_itself)]);
        eventually("its time is over", async || {
            Ok(host.call(&limited, &get, &json!({"name": "p"})).await?.is_null())
        })
        .await?;
        let limited_times = fired(&host, &limited).await?.len();
        assert!((1..=9).contains(&limited_times), "every 250 ms for 2 s, not {limited_times} times");
        // The slowest of them would have fired again by then.
        let paces = fired(&host, &pace).await?.len();
        until_fired(&host, &pace, paces + 2).await?;
        for (actor, times) in [(&outside, times), (&inside, 1), (&limited, limited_times)] {
            assert_eq!(sentinel(&host, actor).await?.len(), times, "{actor} fires no more");
            assert_eq!(host.call(actor, &get, &json!({"name": "p"})).await?, Value::Null, "{actor}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_registration_takes_the_place_of_one_of_the_same_name() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    for (kind, name) in [("reminder", "Reminder"), ("timer", "Timer")] {
        let actor = format!("Exerciser/{kind}");
        let register = format!("Register{name}");
        let periodic = json!({"name": "r", "due_ms": 3_600_000, "period_ms": 10, "data": "old"});
        host.call(&actor, &register, &periodic).await?;
        host.call(&actor, &register, &json!({"name": "r", "due_ms": 0, "data": "new"})).await?;
        assert_eq!(until_fired(&host, &actor, 1).await?, [firing(kind, "r", &json!("new"))]);
        assert_eq!(sentinel(&host, &actor).await?, [firing(kind, "r", &json!("new"))]);
    }
    Ok(())
}

#[tokio::test]
async fn a_reminder_whose_turn_fails_is_tried_again_until_it_succeeds() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    for fault in ["fails_without", "traps_without"] {
        let actor = format!("Exerciser/{fault}");
        let data = json!({fault: "key"});
        host.call(&actor, "RegisterReminder", &json!({"name": "stubborn", "due_ms": 0, "data": data}))
            .await?;
        let is_failure = |line: &Value| {
            line["actor_id"] == fault && line["attempt"].is_u64() && message(line).contains("\"stubborn\"")
        };
        host.wait_for_log("the failure", is_failure).await?;
        assert!(fired(&host, &actor).await?.is_empty(), "nothing of the failed turn is kept");
        let name = json!({"name": "stubborn"});
        assert_ne!(host.call(&actor, "GetReminder", &name).await?, Value::Null, "it still waits");
        host.call(&actor, "SetState", &json!({"key": "key", "value": 1})).await?;
        assert_eq!(until_fired(&host, &actor, 1).await?, [firing("reminder", "stubborn", &data)]);
        assert_eq!(sentinel(&host, &actor).await?.len(), 1);
    }
    Ok(())
}

/// A crash and an orderly end: what is registered outlives both.
#[tokio::test]
async fn registrations_outlive_a_crash_and_a_restart() -> anyhow::Result<()> {
    let manifest = exerciser("");
    for crash in [true, false] {
        let host = Host::start(&manifest).await?;
        let set = async |method: &str, wake: Value| host.call("Exerciser/a", method, &wake).await;
        set("RegisterReminder", json!({"name": "done", "due_ms": 0, "data": 1})).await?;
        until_fired(&host, "Exerciser/a", 1).await?;
        let waits = json!({"fails_without": "key"});
        set("RegisterReminder", json!({"name": "fails", "due_ms": 0, "data": waits})).await?;
        host.wait_for_log("the failure", |line| {
            line["attempt"].is_u64() && message(line).contains("\"fails\"")
        })
        .await?;
        let hour = json!({"name": "hour", "due_ms": 3_600_000, "period_ms": null, "ttl_ms": null, "data": 2});
        set("RegisterReminder", hour.clone()).await?;
        set("RegisterTimer", hour.clone()).await?;
        // Both are due while no host runs.
        set("RegisterReminder", json!({"name": "missed", "due_ms": 400, "data": 3})).await?;
        set("RegisterTimer", json!({"name": "missed", "due_ms": 400, "data": 4})).await?;
        let folder = host.folder();
        if crash {
            drop(host.kill()?);
        } else {
            assert_eq!(host.stop().await?.code(), Some(0));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;

        let host = Host::start_in(folder, &manifest).await?;
        // One that has fired, two that were missed, one that waits for a key.
        until_fired(&host, "Exerciser/a", 3).await?;
        host.call("Exerciser/a", "SetState", &json!({"key": "key", "value": 1})).await?;
        until_fired(&host, "Exerciser/a", 4).await?;
        let mut all = sentinel(&host, "Exerciser/a").await?;
        assert_eq!(all.remove(0), firing("reminder", "done", &json!(1)), "crash: {crash}");
        all.sort_by_key(Value::to_string);
        let expected = [
            firing("reminder", "fails", &waits),
            firing("reminder", "missed", &json!(3)),
            firing("timer", "missed", &json!(4)),
        ];
        let mut expected = expected.to_vec();
        expected.sort_by_key(Value::to_string);
        assert_eq!(all, expected, "each once, and what was done before is not repeated; crash: {crash}");
        let name = json!({"name": "hour"});
        assert_eq!(host.call("Exerciser/a", "GetReminder", &name).await?, hour);
        assert_eq!(host.call("Exerciser/a", "GetTimer", &name).await?, hour);
    }
    Ok(())
}

#[tokio::test]
async fn a_reminder_wakes_an_actor_that_was_deactivated() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("idle-timeout = \"100ms\"")).await?;
    // On a busy machine they may be due before the actor is looked at, which is every half a second: then once more, with more
    // time.
    for due_ms in LONGER_AND_LONGER {
        let (actor, witness) = (format!("Exerciser/{due_ms}"), format!("Exerciser/woken-{due_ms}"));
        let write = json!({"key": "k", "value": true});
        let tell = json!({"type": "Exerciser", "id": format!("woken-{due_ms}"), "method": "SetState", "payload": write});
        let reminder = json!({"name": "reminder", "due_ms": due_ms, "data": {"call": tell}});
        host.call(&actor, "RegisterReminder", &reminder).await?;
        host.call(&actor, "RegisterTimer", &json!({"name": "timer", "due_ms": due_ms})).await?;
        eventually("the actor is deactivated", async || Ok(host.activation(&actor).await?.is_none())).await?;
        // Nobody but the reminder calls the actor until then.
        eventually("the reminder wakes it", async || {
            Ok(host.call(&witness, "GetState", &json!({"key": "k"})).await? == json!(true))
        })
        .await?;
        let all = until_fired(&host, &actor, 1).await?;
        let names = all.iter().map(|one| &one["name"]).collect::<Vec<_>>();
        if !names.contains(&&json!("timer")) {
            assert_eq!(names, ["reminder"], "the timer ended with the activation");
            return Ok(());
        }
    }
    anyhow::bail!("the timer fired each time before the actor was deactivated")
}

/// More reminders fail, each for ever, than the clock handles at the same time.
#[tokio::test]
async fn reminders_that_always_fail_hold_up_no_other_one() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    for n in 0..300 {
        let hopeless = json!({"name": "hopeless", "due_ms": 0, "data": {"fails_without": "key"}});
        host.call(&format!("Exerciser/hopeless{n}"), "RegisterReminder", &hopeless).await?;
    }
    let hope = json!({"name": "hope", "due_ms": 0});
    host.call("Exerciser/fine", "RegisterReminder", &hope).await?;
    until_fired(&host, "Exerciser/fine", 1).await?;
    let name = json!({"name": "hopeless"});
    assert_ne!(
        host.call("Exerciser/hopeless0", "GetReminder", &name).await?,
        Value::Null,
        "it is not given up"
    );
    Ok(())
}

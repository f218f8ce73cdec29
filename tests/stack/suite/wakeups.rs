//! Reminders and timers: the scheduler's and the sidecar's, seen from the actor.

use std::time::{Duration, Instant};

use daca_tests::Answer;
use http::Method;
use serde_json::{Value, json};

use crate::support::{self, Bench, BenchOptions};

const KINDS: [&str; 2] = ["Reminder", "Timer"];
const HOUR_MS: u64 = 3_600_000;

/// How often a name has fired.
async fn count(bench: &Bench, id: &str, name: &str) -> anyhow::Result<usize> {
    Ok(bench.fired(id).await?.iter().filter(|one| one["name"] == name).count())
}

async fn until_fired(bench: &Bench, id: &str, name: &str, times: usize) -> anyhow::Result<()> {
    support::eventually(&format!("{name} of {id} fires"), async || {
        Ok((count(bench, id, name).await? >= times).then_some(()))
    })
    .await
}

/// Lets so much time pass as the scheduler and the sidecar know it: what was due within it has fired.
async fn pass(bench: &Bench, id: &str, name: &str, ms: u64) -> anyhow::Result<()> {
    for kind in KINDS {
        let name = format!("{name}-{kind}");
        bench.call(id, &format!("Register{kind}"), &json!({"name": name, "due_ms": ms})).await?;
    }
    for kind in KINDS {
        until_fired(bench, id, &format!("{name}-{kind}"), 1).await?;
    }
    Ok(())
}

#[tokio::test]
async fn reminders_and_timers_fire_as_they_were_registered() -> anyhow::Result<()> {
    let bench = Bench::start(support::exerciser("")).await?;
    for kind in KINDS {
        they_fire_repeat_and_end(&bench, kind).await?;
        data_and_names_arrive_as_they_were_given(&bench, kind).await?;
        registrations_are_shown(&bench, kind).await?;
    }
    a_reminder_that_fails_is_tried_again(&bench).await?;
    names_that_the_scheduler_does_not_take_are_refused(&bench).await?;
    an_actor_whose_id_the_scheduler_does_not_take_is_woken_for_its_effects(&bench).await?;
    timers_may_have_any_name(&bench).await?;
    a_reminder_of_somebody_else_arrives(&bench).await
}

async fn they_fire_repeat_and_end(bench: &Bench, kind: &str) -> anyhow::Result<()> {
    let register = format!("Register{kind}");
    let wakes = [
        json!({"name": "once", "due_ms": 0}),
        json!({"name": "ends-itself", "due_ms": 0, "period_ms": 1000, "data": {"unregister": true}}),
        json!({"name": "repeats", "due_ms": 0, "period_ms": 1000}),
        json!({"name": "lives-shortly", "due_ms": 0, "period_ms": 1000, "ttl_ms": 2500}),
        json!({"name": "is-replaced", "due_ms": HOUR_MS, "data": "old"}),
        json!({"name": "is-replaced", "due_ms": 100, "data": "new"}),
    ];
    for wake in wakes {
        bench.call(kind, &register, &wake).await?;
    }
    until_fired(bench, kind, "repeats", 3).await?;
    bench.call(kind, &format!("Unregister{kind}"), &json!({"name": "repeats"})).await?;
    until_fired(bench, kind, "is-replaced", 1).await?;
    pass(bench, kind, "meanwhile", 2500).await?;
    let before = [count(bench, kind, "repeats").await?, count(bench, kind, "lives-shortly").await?];
    pass(bench, kind, "later", 2500).await?;
    let after = [count(bench, kind, "repeats").await?, count(bench, kind, "lives-shortly").await?];
    assert_eq!(before, after, "{kind}: what was unregistered or is past its time fires no more");
    // On a busy machine its time may be over before it fires at all.
    assert!(after[1] <= 3, "{kind}: {after:?}");
    for name in ["once", "ends-itself", "is-replaced"] {
        assert_eq!(count(bench, kind, name).await?, 1, "{kind} {name}");
    }
    let fired = bench.fired(kind).await?;
    assert!(fired.iter().all(|one| one["data"] != "old"), "{kind}: {fired:?}");
    let shown = bench.call(kind, &format!("Get{kind}"), &json!({"name": "is-replaced"})).await?;
    assert_eq!(shown, Value::Null, "{kind}: the one before it is gone");
    Ok(())
}

async fn data_and_names_arrive_as_they_were_given(bench: &Bench, kind: &str) -> anyhow::Result<()> {
    let id = "data";
    let wakes = [
        ("text", json!("ü \"q\" \n")),
        ("like-base64", json!("aGk=")),
        ("number", json!(1.5e300)),
        ("nothing", Value::Null),
        ("tree", json!({"b": [1, {"a": null}], "a": "x"})),
        ("A b_c:d.e-f", json!(1)),
    ];
    for (name, data) in &wakes {
        let name = format!("{kind} {name}");
        bench.call(id, &format!("Register{kind}"), &json!({"name": name, "due_ms": 0, "data": data})).await?;
    }
    for (name, data) in &wakes {
        let name = format!("{kind} {name}");
        until_fired(bench, id, &name, 1).await?;
        let fired = bench.fired(id).await?;
        let one = fired.iter().find(|one| one["name"] == name).cloned().unwrap_or_default();
        assert_eq!((&one["kind"], &one["data"]), (&json!(kind.to_lowercase()), data), "{name}");
    }
    Ok(())
}

async fn registrations_are_shown(bench: &Bench, kind: &str) -> anyhow::Result<()> {
    let (register, get, unregister) =
        (format!("Register{kind}"), format!("Get{kind}"), format!("Unregister{kind}"));
    for name in ["r", "a-b_c:d.e f"] {
        let name_only = json!({"name": name});
        assert_eq!(bench.call("shown", &get, &name_only).await?, Value::Null, "{kind} {name}");
        let hour =
            json!({"name": name, "due_ms": HOUR_MS, "period_ms": 5000, "ttl_ms": null, "data": {"n": 1}});
        bench.call("shown", &register, &hour).await?;
        assert_eq!(bench.call("shown", &get, &name_only).await?, hour, "{kind}");
        let once =
            json!({"name": name, "due_ms": 2 * HOUR_MS, "period_ms": null, "ttl_ms": null, "data": [2]});
        bench.call("shown", &register, &once).await?;
        assert_eq!(bench.call("shown", &get, &name_only).await?, once, "{kind}");
        assert_eq!(bench.call("other", &get, &name_only).await?, Value::Null, "it is another actor's");
        bench.call("shown", &unregister, &name_only).await?;
        assert_eq!(bench.call("shown", &get, &name_only).await?, Value::Null, "{kind}");
        assert_eq!(bench.call("shown", &unregister, &name_only).await?, Value::Null, "no error");
    }
    Ok(())
}

async fn a_reminder_that_fails_is_tried_again(bench: &Bench) -> anyhow::Result<()> {
    for (id, data) in [("fails", json!({"fails_without": "key"})), ("traps", json!({"traps_without": "key"}))]
    {
        bench.call(id, "RegisterReminder", &json!({"name": "again", "due_ms": 0, "data": data})).await?;
        support::eventually("the turn fails", async || {
            let lines = bench.host.app.log()?;
            let mut failed =
                lines.iter().filter(|line| line["span"]["actor_id"] == id && line["level"] == "ERROR");
            Ok(failed.next().is_some().then_some(()))
        })
        .await?;
        bench.call(id, "SetState", &json!({"key": "key", "value": 1})).await?;
        until_fired(bench, id, "again", 1).await?;
    }
    Ok(())
}

async fn names_that_the_scheduler_does_not_take_are_refused(bench: &Bench) -> anyhow::Result<()> {
    for name in ["a/b", "50%", "Grüße", "-"] {
        let write = json!({"type": "Exerciser", "id": "names", "method": "RegisterReminder",
            "payload": {"name": name, "due_ms": HOUR_MS}});
        let refused = bench.call("caller", "CallActor", &write).await?;
        assert_eq!(refused["error"]["case"], "other", "{name}: {refused}");
        assert!(refused.to_string().contains("job name is invalid"), "{name}: {refused}");
        // There is none of that name: a turn that removes it is kept, and told so.
        assert_eq!(
            bench.call("names", "UnregisterReminder", &json!({"name": name})).await?,
            Value::Null,
            "{name}"
        );
    }
    Ok(())
}

/// Another actor, which is never active, has the reminder of its effects.
async fn an_actor_whose_id_the_scheduler_does_not_take_is_woken_for_its_effects(
    bench: &Bench,
) -> anyhow::Result<()> {
    const ID: &str = "ada@example.com";
    const IN_BASE64: &str = "YWRhQGV4YW1wbGUuY29t";
    const SHA_256: &str = "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72";
    let event = json!({"pubsub": "daca-pubsub", "topic": "unheard", "event": {}});
    bench.call(ID, "Publish", &event).await?;
    let reminder = format!("/v1.0/actors/Exerciser/daca:effects:{SHA_256}/reminders/daca:effects-of");
    let shown = bench.sidecar(Method::GET, &reminder, "").await?;
    assert!(shown.body["period"].as_str().is_some_and(|period| !period.is_empty()), "{shown:?}");
    // It would take a minute.
    let body = json!({"dueTime": "0s", "data": IN_BASE64}).to_string();
    let registered = bench.sidecar(Method::POST, &reminder, &body).await?;
    assert_eq!(registered.status, 204, "{registered:?}");
    support::eventually("the actor is woken", async || {
        let list = Answer::of(bench.client.get(bench.host.app.admin_url("/activations"))).await?.body;
        let actors = list["activations"].as_array().cloned().unwrap_or_default();
        let id = |actor: &Value| actor["actor_id"].as_str().unwrap_or_default().to_owned();
        anyhow::ensure!(!actors.iter().any(|actor| id(actor).starts_with("daca:")), "{list}");
        let turns = actors.iter().find(|actor| id(actor) == ID).and_then(|actor| actor["turns"].as_u64());
        Ok(turns.is_some_and(|turns| turns > 1).then_some(()))
    })
    .await?;
    assert_eq!(support::lines_with(&bench.host.app, &[("code", "effects-without-reminder")])?, 0);
    Ok(())
}

async fn timers_may_have_any_name(bench: &Bench) -> anyhow::Result<()> {
    for name in ["a b/50%?x#y", "remind/a b", "Grüße", "%41", "..x"] {
        bench.call("timers", "RegisterTimer", &json!({"name": name, "due_ms": 0, "data": name})).await?;
        until_fired(bench, "timers", name, 1).await?;
    }
    let fired = bench.fired("timers").await?;
    assert!(fired.iter().all(|one| one["kind"] == "timer" && one["name"] == one["data"]), "{fired:?}");
    Ok(())
}

async fn a_reminder_of_somebody_else_arrives(bench: &Bench) -> anyhow::Result<()> {
    for (name, data) in [("object", json!({"a": [1, "x"]})), ("text", json!("no base64!"))] {
        let path = format!("/v1.0/actors/Exerciser/curl/reminders/{name}");
        let body = json!({"dueTime": "0s", "data": data}).to_string();
        let registered = bench.sidecar(Method::POST, &path, &body).await?;
        assert_eq!(registered.status, 204, "{registered:?}");
        until_fired(bench, "curl", name, 1).await?;
        let fired = bench.fired("curl").await?;
        assert!(fired.iter().any(|one| one["name"] == name && one["data"] == data), "{name}: {fired:?}");
    }
    Ok(())
}

/// Registers a reminder that fires once, and stops the store before it is due: on a busy machine with more time.
async fn stop_redis_before_it_is_due(bench: &Bench) -> anyhow::Result<()> {
    for due_ms in [3_000, 10_000, 40_000] {
        let start = Instant::now();
        bench.call("a", "RegisterReminder", &json!({"name": "once", "due_ms": due_ms, "data": 7})).await?;
        bench.stack.redis.process.stop().await?;
        if start.elapsed() < Duration::from_millis(due_ms) {
            return Ok(());
        }
        bench.stack.redis.start_again().await?;
        until_fired(bench, "a", "once", 1).await?;
        bench.call("a", "DeleteState", &json!({"key": "fired"})).await?;
    }
    anyhow::bail!("the store never stopped in time")
}

/// The scheduler by itself would give it up after some four tries within three seconds.
#[tokio::test]
async fn a_reminder_that_fires_once_waits_for_its_store() -> anyhow::Result<()> {
    const TRIES: usize = 6;
    let bench = Bench::start(support::exerciser("")).await?;
    stop_redis_before_it_is_due(&bench).await?;
    support::eventually("its turn fails again and again", async || {
        let lines = bench.host.app.log()?;
        let failed =
            lines.iter().filter(|line| line["span"]["actor_id"] == "a" && line["level"] == "ERROR").count();
        Ok((failed >= TRIES).then_some(()))
    })
    .await?;
    bench.stack.redis.start_again().await?;
    until_fired(&bench, "a", "once", 1).await?;
    support::eventually("it is gone", async || {
        let shown = bench.call("a", "GetReminder", &json!({"name": "once"})).await?;
        Ok(shown.is_null().then_some(()))
    })
    .await?;
    assert_eq!(count(&bench, "a", "once").await?, 1);
    Ok(())
}

/// The sidecar is there, and its application is not: by itself the scheduler would give the reminder up after four tries within
/// three seconds.
#[tokio::test]
async fn a_reminder_that_fires_once_waits_for_its_host() -> anyhow::Result<()> {
    const TRIES: usize = 6;
    const FAILED: &str = "failed to invoke scheduled actor reminder named: once ";
    let options = BenchOptions { manifest: support::exerciser(""), ..BenchOptions::default() };
    let (stack, app, mut sidecar) = Bench::prepare(options).await?;
    // So that it always tries: one that checks may instead wait.
    sidecar.app_health_check = false;
    let bench = Bench::beside(stack, app, sidecar).await?;
    bench.call("a", "RegisterReminder", &json!({"name": "once", "due_ms": 10_000, "data": 7})).await?;
    bench.host.app.process.kill()?;
    support::eventually("the scheduler tries again and again", async || {
        let lines = bench.host.sidecar.process.log_lines()?;
        let failed = lines.iter().filter(|line| line.contains(FAILED)).count();
        Ok((failed >= TRIES).then_some(()))
    })
    .await?;
    bench.host.app.start_again().await?;
    bench.host.wait_ready().await?;
    until_fired(&bench, "a", "once", 1).await?;
    support::eventually("it is gone", async || {
        let shown = bench.call("a", "GetReminder", &json!({"name": "once"})).await?;
        Ok(shown.is_null().then_some(()))
    })
    .await?;
    // Had it stayed, it would have fired again by now.
    pass(&bench, "a", "later", 11_000).await?;
    let fired = bench.fired("a").await?;
    let once = fired.iter().filter(|one| one["name"] == "once").collect::<Vec<_>>();
    assert!(matches!(&once[..], [one] if one["data"] == 7), "{fired:?}");
    Ok(())
}

/// What ends with a firing is the registration that has fired.
#[tokio::test]
async fn a_reminder_that_is_registered_again_when_it_fires_fires_again() -> anyhow::Result<()> {
    let bench = Bench::start(support::exerciser("")).await?;
    let again = json!({"name": "once", "due_ms": 0, "data": {"register_again": "again"}});
    bench.call("a", "RegisterReminder", &again).await?;
    until_fired(&bench, "a", "once", 2).await?;
    let fired = bench.fired("a").await?;
    assert_eq!(fired.last().map(|one| &one["data"]), Some(&json!("again")), "{fired:?}");
    Ok(())
}

#[tokio::test]
async fn a_reminder_outlives_host_and_sidecar_and_a_timer_ends_with_its_activation() -> anyhow::Result<()> {
    let bench = Bench::start(support::exerciser("")).await?;
    for kind in KINDS {
        let wake = json!({"name": kind, "due_ms": 0, "period_ms": 1000});
        bench.call("a", &format!("Register{kind}"), &wake).await?;
        until_fired(&bench, "a", kind, 1).await?;
    }
    bench.host.stop().await?;
    bench.host.sidecar.process.start_again()?;
    bench.host.app.start_again().await?;
    bench.host.wait_ready().await?;
    bench.host.wait_ready().await?;

    let before = [count(&bench, "a", "Reminder").await?, count(&bench, "a", "Timer").await?];
    until_fired(&bench, "a", "Reminder", before[0] + 3).await?;
    assert_eq!(count(&bench, "a", "Timer").await?, before[1], "the timer is gone");
    assert_eq!(bench.call("a", "GetTimer", &json!({"name": "Timer"})).await?, Value::Null);
    Ok(())
}

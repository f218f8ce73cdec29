//! Turns: one at a time for each actor, all or nothing, within the host's bounds.

use std::collections::BTreeSet;
use std::sync::Arc;

use daca_tests::{Host, LONGER_AND_LONGER, eventually, exerciser};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// A turn lasts for as long as its test wants it to.
const PATIENT: &str = "limits = { turn-time = \"10m\" }";

#[tokio::test]
async fn a_turn_that_does_not_end_well_leaves_nothing() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let cases = [
        ("SetThenFail", "invalid", 400, "invalid"),
        ("SetThenFail", "not-found", 404, "not-found"),
        ("SetThenFail", "failed", 500, "failed"),
        ("SetThenTrap", "failed", 500, "guest-trapped"),
    ];
    for (method, fault, status, code) in cases {
        // On a new instance, and on one that has served before.
        for warm in [false, true] {
            let actor = format!("Exerciser/{method}-{fault}-{warm}");
            if warm {
                host.call(&actor, "SetState", &json!({"key": "k", "value": "before"})).await?;
            }
            let before = if warm { json!("before") } else { Value::Null };
            let doomed = json!({"key": "k", "value": "doomed", "fault": fault});
            let answer = host.invoke(&actor, method, &doomed).await?;
            assert_eq!(answer.outcome(), (status, Some(code)), "{actor}");
            assert!(!answer.body["detail"].as_str().unwrap_or_default().is_empty(), "{answer:?}");
            assert_eq!(host.call(&actor, "GetState", &json!({"key": "k"})).await?, before, "{actor}");
            let name = json!({"name": "doomed"});
            assert_eq!(host.call(&actor, "GetReminder", &name).await?, Value::Null, "{actor}");
            assert_eq!(host.call(&actor, "GetTimer", &name).await?, Value::Null, "{actor}");
            // The hook's write belongs to the turn that it ran in, and so is gone with it.
            let activations = host.call(&actor, "Activations", &Value::Null).await?;
            assert_eq!(activations, json!(if warm { 2 } else { 1 }), "{actor}");
            // A reminder that is registered now is due after the doomed ones were.
            host.call(&actor, "RegisterReminder", &json!({"name": "later", "due_ms": 0})).await?;
            eventually("the reminder fires", async || {
                Ok(host.call(&actor, "Fired", &Value::Null).await? != json!([]))
            })
            .await?;
            let fired = host.call(&actor, "Fired", &Value::Null).await?;
            assert_eq!(fired, json!([{"kind": "reminder", "name": "later", "data": null}]), "{actor}");
        }
    }
    let outbox = host.get_admin("/outbox").await?.body;
    assert_eq!(outbox, json!({"counts": {"pending": 0, "sent": 0, "failed": 0}, "entries": []}));
    // What staged the effects is permitted: otherwise nothing would have been staged at all.
    let permitted = json!({"pubsub": "daca-pubsub", "topic": "user-chat", "event": 1});
    assert_eq!(host.call("Exerciser/x", "Publish", &permitted).await?, json!({"effect": 0}));
    Ok(())
}

#[tokio::test]
async fn an_instance_is_new_after_a_failure_and_the_same_after_success() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let calls = async || host.call("Exerciser/a", "Calls", &Value::Null).await;
    assert_eq!((calls().await?, calls().await?), (json!(1), json!(2)));
    // A refused import is no failure of the turn.
    host.call("Exerciser/a", "SetState", &json!({"key": "", "value": 1})).await?;
    assert_eq!(calls().await?, json!(3));
    for (method, payload) in [
        ("Fail", json!({"fault": "invalid"})),
        ("NoSuchMethod", Value::Null),
        ("SetThenTrap", json!({"key": "k", "value": 1})),
    ] {
        let answer = host.invoke("Exerciser/a", method, &payload).await?;
        assert_ne!(answer.status, 200, "{method}");
        assert_eq!((calls().await?, calls().await?), (json!(1), json!(2)), "after {method}");
    }
    Ok(())
}

#[tokio::test]
async fn a_failing_hook_fails_the_turn_and_says_why() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("settings = { fail-in-activate = \"no way\" }")).await?;
    for _ in 0..2 {
        let answer = host.invoke("Exerciser/a", "Echo", &json!(1)).await?;
        assert_eq!(answer.outcome(), (500, Some("failed")), "{answer:?}");
        assert_eq!(answer.body["detail"], "no way");
    }
    Ok(())
}

#[tokio::test]
async fn calls_of_one_actor_run_one_at_a_time_in_order_of_arrival() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&exerciser(PATIENT)).await?);
    let held = host.hold("Exerciser/a");
    let mut calls = Vec::new();
    for queued in 0..12 {
        host.until_busy("Exerciser/a", queued).await?;
        calls.push(host.begin("Exerciser/a", "Calls", &Value::Null));
    }
    host.until_busy("Exerciser/a", 12).await?;
    assert!(!held.is_finished() && calls.iter().all(|call| !call.is_finished()), "nobody overtakes");
    host.release("Exerciser/a").await?;
    assert_eq!(held.await??.status, 200);
    for (number, call) in (1..).zip(calls) {
        assert_eq!(call.await??.body, json!(number));
    }
    // Fifty at once: each reads what the one before it has counted, in one and the same instance.
    let fifty = (0..50).map(|_| host.call("Exerciser/a", "Calls", &Value::Null));
    let replies = futures::future::try_join_all(fifty).await?;
    let seen = replies.iter().filter_map(Value::as_u64).collect::<BTreeSet<_>>();
    assert_eq!(seen, (13..63).collect());
    assert_eq!(host.call("Exerciser/a", "Activations", &Value::Null).await?, json!(1));
    Ok(())
}

#[tokio::test]
async fn a_waiting_actor_holds_up_no_other_one() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&exerciser(PATIENT)).await?);
    let waiting = (0..8)
        .map(|n| host.begin(&format!("Exerciser/waits-{n}"), "Sleep", &json!({"ms": 590_000})))
        .collect::<Vec<_>>();
    for n in 0..8 {
        host.until_busy(&format!("Exerciser/waits-{n}"), 0).await?;
    }
    assert_eq!(host.call("Exerciser/b", "Echo", &json!("here")).await?, json!("here"));
    assert!(waiting.iter().all(|call| !call.is_finished()), "they were to wait meanwhile");
    // The host is killed with them.
    waiting.iter().for_each(JoinHandle::abort);
    Ok(())
}

#[tokio::test]
async fn a_full_queue_is_answered_429_and_the_others_are_served() -> anyhow::Result<()> {
    let limits = "limits = { queue = 2, turn-time = \"10m\" }";
    let host = Arc::new(Host::start(&exerciser(limits)).await?);
    let held = host.hold("Exerciser/a");
    host.until_busy("Exerciser/a", 0).await?;
    let waiting = [1, 2].map(|n| host.begin("Exerciser/a", "Echo", &json!(n)));
    host.until_busy("Exerciser/a", 2).await?;
    let answer = host.invoke("Exerciser/a", "Echo", &json!(3)).await?;
    assert_eq!(answer.outcome(), (429, Some("actor-queue-full")));
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("Exerciser/a") && detail.contains('2'), "{detail}");
    assert_eq!(host.call("Exerciser/b", "Echo", &json!("b")).await?, json!("b"), "another actor");
    host.release("Exerciser/a").await?;
    assert_eq!(held.await??.status, 200);
    for (n, call) in (1..).zip(waiting) {
        assert_eq!(call.await??.body, json!(n));
    }
    assert_eq!(host.call("Exerciser/a", "Echo", &json!(4)).await?, json!(4));
    Ok(())
}

#[tokio::test]
async fn a_full_host_is_answered_503_until_there_is_room() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&(exerciser(PATIENT) + "[host]\nmax-turns-in-flight = 2\n")).await?);
    let endless = host.begin("Exerciser/a", "Sleep", &json!({"ms": 590_000}));
    host.until_busy("Exerciser/a", 0).await?;
    let is_refused = async || {
        let answer = host.invoke("Exerciser/c", "Echo", &json!(1)).await?;
        anyhow::ensure!([(200, None), (503, Some("host-busy"))].contains(&answer.outcome()), "{answer:?}");
        anyhow::Ok(answer.status == 503)
    };
    // On a busy machine the second turn may be over before the call: then once more, with more time.
    for ms in LONGER_AND_LONGER {
        // A turn that was answered has its permit for a moment more.
        eventually("one turn is in flight", async || {
            Ok(host.get_admin("/health").await?.body["turns_in_flight"] == 1)
        })
        .await?;
        let slow = host.begin("Exerciser/b", "Sleep", &json!({"ms": ms}));
        let was_caught = host.is_caught("Exerciser/b", 0, &slow).await?;
        let was_refused = was_caught && is_refused().await?;
        assert_eq!(host.get("/healthz").await?.status, 200, "a busy host is a healthy one");
        assert_eq!(slow.await??.status, 200);
        eventually("there is room", async || Ok(!is_refused().await?)).await?;
        if was_refused {
            // The host is killed with it.
            endless.abort();
            return Ok(());
        }
    }
    anyhow::bail!("each turn was over before the next call")
}

#[tokio::test]
async fn an_idle_actor_is_deactivated_and_comes_back_with_its_state() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("idle-timeout = \"200ms\"")).await?;
    host.call("Exerciser/a", "SetState", &json!({"key": "k", "value": [1, 2]})).await?;
    let hour = json!({"name": "hour", "due_ms": 3_600_000, "period_ms": null, "ttl_ms": null, "data": 1});
    host.call("Exerciser/a", "RegisterReminder", &hour).await?;
    host.call("Exerciser/a", "RegisterTimer", &hour).await?;
    eventually("the actor is deactivated, and its instance dropped", async || {
        let health = host.get_admin("/health").await?.body;
        Ok(health["active_actors"] == 0 && health["live_instances"] == 0)
    })
    .await?;
    let keys = json!({"keys": ["k", "activations", "deactivated"]});
    let state = host.call("Exerciser/a", "GetMany", &keys).await?;
    // On a busy machine it was idle for so long between the calls above, too.
    let ended = state[2].as_u64().unwrap_or_default();
    assert!(ended >= 1 && state == json!([[1, 2], ended + 1, ended]), "{state}");
    let name = json!({"name": "hour"});
    assert_eq!(host.call("Exerciser/a", "GetTimer", &name).await?, Value::Null, "timers end");
    assert_eq!(host.call("Exerciser/a", "GetReminder", &name).await?, hour, "reminders do not");
    Ok(())
}

#[tokio::test]
async fn few_live_instances_serve_many_actors() -> anyhow::Result<()> {
    let host = Host::start(&(exerciser("") + "[host]\nmax-live-instances = 2\n")).await?;
    let within_cap = async || -> anyhow::Result<()> {
        let health = host.get_admin("/health").await?.body;
        assert_eq!(health["max_live_instances"], 2);
        assert!(health["live_instances"].as_u64().is_some_and(|live| live <= 2), "{health}");
        Ok(())
    };
    for round in 0..3 {
        for n in 0..20 {
            let actor = format!("Exerciser/{n}");
            let mine = json!({"key": "mine", "value": [n, round]});
            if round > 0 {
                let kept = host.call(&actor, "GetState", &json!({"key": "mine"})).await?;
                assert_eq!(kept, json!([n, round - 1]));
            }
            host.call(&actor, "SetState", &mine).await?;
            within_cap().await?;
        }
    }
    // All at once, more than there is room for: they take turns.
    let all = (0..20).map(async |n| {
        host.call(&format!("Exerciser/{n}"), "Sleep", &json!({"ms": 5})).await?;
        within_cap().await?;
        host.call(&format!("Exerciser/{n}"), "GetState", &json!({"key": "mine"})).await
    });
    let kept = futures::future::try_join_all(all).await?;
    assert_eq!(kept, (0..20).map(|n| json!([n, 2])).collect::<Vec<_>>());
    // They were dropped and made again, and yet stayed active.
    assert_eq!(host.get_admin("/health").await?.body["active_actors"], 20);
    let activations = host.call("Exerciser/0", "Activations", &Value::Null).await?;
    assert!(activations.as_u64().is_some_and(|number| number >= 3), "{activations}");
    Ok(())
}

#[tokio::test]
async fn actors_that_wait_for_one_another_get_an_answer_in_the_end() -> anyhow::Result<()> {
    let echo = |id: &str| json!({"type": "Exerciser", "id": id, "method": "Echo", "payload": "hi"});
    // One instance for two actors: the caller has it, and the callee needs it.
    let limits = "limits = { turn-time = \"500ms\" }";
    let host = Host::start(&(exerciser(limits) + "[host]\nmax-live-instances = 1\n")).await?;
    let answer = host.invoke("Exerciser/a", "CallActor", &echo("b")).await?;
    assert_ne!(answer.body, json!("hi"), "there is no room for both");
    assert!(answer.code.is_some() || answer.body["error"]["case"].is_string(), "{answer:?}");
    until_answered(&host, &["a", "b"]).await?;

    // Two actors that call one another at the same time: neither call is part of the other's.
    let host = Host::start(&exerciser(limits)).await?;
    for _ in 0..5 {
        let (a_to_b, b_to_a) = (echo("b"), echo("a"));
        let (one, other) = futures::try_join!(
            host.invoke("Exerciser/a", "CallActor", &a_to_b),
            host.invoke("Exerciser/b", "CallActor", &b_to_a),
        )?;
        for answer in [one, other] {
            let ok = answer.body == json!("hi");
            let refused = answer.code.as_deref() == Some("turn-time-exceeded")
                || answer.body["error"]["case"].is_string();
            assert!(ok || refused, "{answer:?}");
        }
    }
    until_answered(&host, &["a", "b"]).await
}

/// Waits until actors answer again: a turn with little time may not get enough of a busy machine.
async fn until_answered(host: &Host, ids: &[&str]) -> anyhow::Result<()> {
    for id in ids {
        eventually("the actor answers", async || {
            let answer = host.invoke(&format!("Exerciser/{id}"), "Echo", &json!(1)).await?;
            Ok(answer.status == 200 && answer.body == json!(1))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn with_reentrancy_an_actor_is_called_while_it_waits() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("[agents.Exerciser.reentrancy]\nmax-stack-depth = 4\n")).await?;
    let call_of = |id: &str, method: &str, payload: Value| json!({"type": "Exerciser", "id": id, "method": method, "payload": payload});
    let circle = call_of("b", "CallActor", call_of("a", "Echo", json!("back")));
    assert_eq!(host.call("Exerciser/a", "CallActor", &circle).await?, "back");
    let to_itself = call_of("a", "Echo", json!("self"));
    assert_eq!(host.call("Exerciser/a", "CallActor", &to_itself).await?, "self");

    // The nested turn writes, and the outer one reads it afterwards.
    let write = call_of("a", "SetState", json!({"key": "k", "value": "nested"}));
    let over_b = json!({"key": "k", "call": call_of("b", "CallActor", write)});
    let seen = host.call("Exerciser/a", "WriteCallRead", &over_b).await?;
    assert_eq!(seen, json!({"before": null, "reply": null, "after": "nested"}));

    // Four turns of one actor may wait for one another, and the fifth is refused to the fourth.
    let nested = |turns: usize| {
        (2..turns)
            .fold(call_of("deep", "Echo", json!("end")), |payload, _| call_of("deep", "CallActor", payload))
    };
    assert_eq!(host.call("Exerciser/deep", "CallActor", &nested(4)).await?, "end");
    let refused = host.call("Exerciser/deep", "CallActor", &nested(5)).await?;
    assert_eq!(refused["error"]["case"], "invalid", "{refused}");
    assert_eq!(host.call("Exerciser/deep", "CallActor", &nested(4)).await?, "end");

    // Here a reminder's turn may be entered again as well.
    let wake = json!({"name": "r", "due_ms": 0, "data": {"call": circle}});
    host.call("Exerciser/a", "RegisterReminder", &wake).await?;
    eventually("the reminder's call is answered", async || {
        Ok(host.call("Exerciser/a", "GetState", &json!({"key": "called-r"})).await? == "back")
    })
    .await
}

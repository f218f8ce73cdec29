//! Actors that call one another in a circle, through their sidecars, and what travels with a call.

use daca_tests::Answer;
use http::Method;
use serde_json::{Value, json};

use crate::support::{self, Bench};

fn call_of(id: &str, method: &str, payload: Value) -> Value {
    json!({"type": "Exerciser", "id": id, "method": method, "payload": payload})
}

/// `a` calls `b`, which calls `a`.
fn circle() -> Value {
    call_of("b", "CallActor", call_of("a", "Echo", json!("back")))
}

#[tokio::test]
async fn with_reentrancy_an_actor_is_called_while_it_waits() -> anyhow::Result<()> {
    let manifest = support::exerciser("[agents.Exerciser.reentrancy]\nmax-stack-depth = 4");
    actors_enter_again(manifest.clone()).await?;
    actors_enter_again(manifest + "\n[dapr]\ndirect-calls = true\n").await
}

async fn actors_enter_again(manifest: String) -> anyhow::Result<()> {
    let bench = Bench::start(manifest).await?;
    assert_eq!(bench.call("a", "CallActor", &circle()).await?, "back");
    assert_eq!(bench.call("a", "CallActor", &call_of("a", "Echo", json!("self"))).await?, "self");

    // The nested turn writes, and the outer one reads it afterwards.
    let write = call_of("a", "SetState", json!({"key": "k", "value": "nested"}));
    let over_b = json!({"key": "k", "call": call_of("b", "CallActor", write)});
    let seen = bench.call("a", "WriteCallRead", &over_b).await?;
    assert_eq!(seen, json!({"before": null, "reply": null, "after": "nested"}));

    // Four turns of one actor may wait for one another, and the fifth is refused to the fourth.
    let nested = |turns: usize| {
        (2..turns)
            .fold(call_of("deep", "Echo", json!("end")), |payload, _| call_of("deep", "CallActor", payload))
    };
    assert_eq!(bench.call("deep", "CallActor", &nested(4)).await?, "end");
    let refused = bench.call("deep", "CallActor", &nested(5)).await?;
    assert_eq!(refused["error"]["case"], "invalid", "{refused}");
    // Nothing of it is left behind.
    assert_eq!(bench.call("deep", "CallActor", &nested(4)).await?, "end");

    // The same by calls that did not come through the sidecar.
    let direct =
        bench.direct(Method::PUT, "/actors/Exerciser/a/method/CallActor", &circle().to_string()).await?;
    assert_eq!(direct.body, "back");

    // Dapr's lock lets nobody into a turn that it began for a reminder or timer.
    for kind in ["Reminder", "Timer"] {
        let wake = json!({"name": kind, "due_ms": 0, "data": {"call": circle()}});
        bench.call("a", &format!("Register{kind}"), &wake).await?;
        let called = support::eventually("the circle is tried", async || {
            let called = bench.call("a", "GetState", &json!({"key": format!("called-{kind}")})).await?;
            Ok((!called.is_null()).then_some(called))
        })
        .await?;
        assert_eq!(called["error"]["case"], "invalid", "{kind}: {called}");
        assert!(called.to_string().contains("waits for this call itself"), "{kind}: {called}");
    }
    Ok(())
}

#[tokio::test]
async fn without_reentrancy_a_circle_is_refused_at_once() -> anyhow::Result<()> {
    let bench = Bench::start(support::exerciser("")).await?;
    for payload in [
        circle(),
        call_of("a", "Echo", json!(1)),
        call_of("b", "CallActor", call_of("c", "CallActor", circle())),
    ] {
        let reply = bench.call("a", "CallActor", &payload).await?;
        assert_eq!(reply["error"]["case"], "invalid", "{payload}: {reply}");
        let text = reply["error"]["message"].as_str().unwrap_or_default();
        assert!(text.contains("waits for this call itself"), "{reply}");
    }
    // Who sends the actors that wait gets the code.
    let echo = bench.client.put(bench.host.app.url("/actors/Exerciser/a/method/Echo")).body("1");
    let answer = Answer::of(echo.header("daca-waiting", "Exerciser/a")).await?;
    assert_eq!(answer.code.as_deref(), Some("call-waits-for-itself"), "{answer:?}");
    for id in ["a", "b", "c"] {
        assert_eq!(bench.call(id, "Echo", &json!(id)).await?, id, "nothing hangs");
    }
    Ok(())
}

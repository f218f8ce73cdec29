//! The protocol between the host and its sidecar, case by case: what the host answers on its port, and what becomes of it for
//! those who call through the sidecar.

mod traces;

use anyhow::Context as _;
use daca_tests::Answer;
use futures::future::try_join_all;
use http::Method;
use serde_json::{Value, json};

use crate::support::{self, Bench};

/// The agents of the project and of the tests, with a subscription for each outcome.
fn manifest() -> anyhow::Result<String> {
    let sleeper = support::exerciser("idle-timeout = \"1s\"").replace("Exerciser]", "Sleeper]");
    let sleeper = sleeper.replace("Exerciser.", "Sleeper.");
    let more = "
[host]
max-body = \"64KiB\"

[[subscriptions]]
pubsub = \"daca-pubsub\"
topic = \"fails\"
path = \"/fails\"
agent = \"Exerciser\"
call = \"Fail\"
actor-id = { field = \"actor_id\" }

[[subscriptions]]
pubsub = \"daca-pubsub\"
topic = \"counts\"
path = \"/counts\"
agent = \"Exerciser\"
call = \"Calls\"
actor-id = { field = \"actor_id\" }
";
    let exerciser =
        support::exerciser("idle-timeout = \"90s\"\n[agents.Exerciser.reentrancy]\nmax-stack-depth = 5\n");
    Ok(format!("{}{exerciser}{sleeper}{more}", support::manifest(&[])?))
}

#[tokio::test]
async fn every_callback_and_every_call_through_the_sidecar_is_answered_as_dapr_reads_it() -> anyhow::Result<()>
{
    let bench = Bench::start(manifest()?).await?;
    the_configuration_says_what_the_manifest_says(&bench).await?;
    callbacks_have_their_status(&bench).await?;
    failures_arrive_through_the_sidecar(&bench).await?;
    ids_and_methods_arrive_as_they_were_meant(&bench).await?;
    bodies_that_are_too_long_are_refused(&bench).await?;
    events_are_answered_in_the_form_of_dapr(&bench).await?;
    an_event_of_somebody_else_arrives_once(&bench).await?;
    a_deactivated_actor_reads_its_state_again(&bench).await?;
    an_idle_actor_writes_its_last_state(&bench).await?;
    direct_calls_of_one_actor_run_one_at_a_time(&bench).await
}

async fn the_configuration_says_what_the_manifest_says(bench: &Bench) -> anyhow::Result<()> {
    let of_type = |name: &str, idle_ms: u64, reentrancy: Value| {
        json!({
            "entities": [name],
            "actorIdleTimeout": format!("{idle_ms}ms"),
            "drainOngoingCallTimeout": "1s",
            "drainRebalancedActors": true,
            "reentrancy": reentrancy,
        })
    };
    let config = bench.direct(Method::GET, "/dapr/config", "").await?;
    assert_eq!(config.status, 200);
    assert_eq!(
        config.body,
        json!({
            "entities": ["ChatAgent", "Exerciser", "Sleeper"],
            "drainOngoingCallTimeout": "1s",
            "drainRebalancedActors": true,
            "entitiesConfig": [
                // The idle time-out, the longest turn, and 30 s: the host's own clock comes first.
                of_type("ChatAgent", 660_000, json!({"enabled": false})),
                of_type("Exerciser", 150_000, json!({"enabled": true, "maxStackDepth": 5})),
                of_type("Sleeper", 61_000, json!({"enabled": false})),
            ],
        })
    );
    let subscribe = bench.direct(Method::GET, "/dapr/subscribe", "").await?;
    let mut subscriptions = subscribe.body.as_array().cloned().unwrap_or_default();
    subscriptions.sort_by_key(|one| one["topic"].to_string());
    let of_topic = |topic: &str, path: &str| json!({"pubsubname": "daca-pubsub", "topic": topic, "routes": {"default": path}});
    let expected =
        [of_topic("counts", "/counts"), of_topic("fails", "/fails"), of_topic("user-chat", "/subscribe")];
    assert_eq!(subscriptions, expected);
    // And the sidecar has read them.
    let metadata = bench.host.sidecar.metadata().await?;
    assert_eq!(metadata["subscriptions"].as_array().map(Vec::len), Some(3), "{metadata}");
    Ok(())
}

async fn callbacks_have_their_status(bench: &Bench) -> anyhow::Result<()> {
    let unknown_there = bench.direct(Method::PUT, "/actors/Exerciser/unseen/method/Echo", "1").await?;
    // The sidecar keeps no state for an actor that it has not made active itself: the fence against a stale owner.
    assert_eq!(unknown_there.outcome(), (503, Some("not-done")));
    bench.call("a", "Echo", &Value::Null).await?;
    let echo = "/actors/Exerciser/a/method/Echo";
    let cases = [
        (Method::GET, "/healthz", "", 200, None),
        (Method::GET, "/readyz", "", 200, None),
        (Method::PUT, echo, "{\"x\":[1]}", 200, None),
        (Method::POST, echo, "1", 405, Some("method-not-allowed")),
        // What the agent or the caller got wrong looks like success to the sidecar, or it would hide it.
        (Method::PUT, "/actors/Exerciser/a/method/Nothing", "", 200, Some("not-found")),
        (Method::PUT, "/actors/Nobody/a/method/Echo", "1", 200, Some("agent-type-unknown")),
        (Method::PUT, "/actors/Exerciser/a%2Fb/method/Echo", "1", 400, Some("actor-id-invalid")),
        (Method::PUT, "/actors/Exerciser/%ff/method/Echo", "1", 400, Some("path-invalid")),
        (Method::PUT, "/actors/Exerciser//method/Echo", "1", 400, Some("actor-id-invalid")),
        (Method::PUT, "/actors/Exerciser/a/method", "1", 404, Some("route-unknown")),
        (Method::PUT, "/actors/Exerciser/a/method/remind/r", "", 200, None),
        (Method::PUT, "/actors/Exerciser/a/method/remind/r", "{\"data\":", 400, Some("body-not-json")),
        (Method::PUT, "/actors/Exerciser/a/method/timer/t", "{\"callback\":\"t\",\"data\":null}", 200, None),
        (Method::DELETE, "/actors/Exerciser/never-active", "", 200, None),
        (Method::DELETE, "/actors/Exerciser/a%5Cb", "", 400, Some("actor-id-invalid")),
        (Method::OPTIONS, "/receive-message", "", 200, None),
        (Method::OPTIONS, "/nowhere", "", 404, Some("route-unknown")),
    ];
    for (method, path, body, status, code) in cases {
        let answer = bench.direct(method.clone(), path, body).await?;
        assert_eq!(answer.outcome(), (status, code), "{method} {path}: {answer:?}");
        let is_failure = answer.header("x-daprerrorresponseheader").is_some();
        assert_eq!(is_failure, status == 200 && code.is_some(), "{method} {path}: {answer:?}");
    }
    let echoed = bench.direct(Method::PUT, echo, "{\"x\":[1]}").await?;
    assert_eq!((&echoed.body, echoed.header("content-type")), (&json!({"x": [1]}), Some("application/json")));
    Ok(())
}

async fn failures_arrive_through_the_sidecar(bench: &Bench) -> anyhow::Result<()> {
    for (fault, code) in [("invalid", "invalid"), ("not-found", "not-found"), ("failed", "failed")] {
        let answer = bench.invoke("a", "Fail", &json!({"fault": fault, "message": "my words"})).await?;
        assert_eq!((answer.outcome(), answer.detail()), ((200, Some(code)), "my words"));
        assert!(answer.header("x-daprerrorresponseheader").is_some(), "{answer:?}");
    }
    let trapped = bench
        .invoke("a", "SetThenTrap", &json!({"key": "k", "value": 1, "topic": "counts-of-others"}))
        .await?;
    assert_eq!(
        (trapped.status.as_u16(), &trapped.body["errorCode"]),
        (500, &json!("ERR_ACTOR_INVOKE_METHOD")),
        "{trapped:?}"
    );
    assert!(
        trapped.body["message"].as_str().is_some_and(|text| text.contains("guest-trapped")),
        "{trapped:?}"
    );
    assert_eq!(bench.call("a", "GetState", &json!({"key": "k"})).await?, Value::Null);

    // A route's call goes through the sidecar as well, and its caller gets the agent's own words and status.
    for (body, detail) in [
        ("{\"role\":\"user\",\"content\":\"\"}", "Invalid or missing 'content' field"),
        ("{\"role\":\"user\"}", "Invalid or missing 'content' field"),
        ("{\"role\":1,\"content\":\"x\"}", "Invalid or missing 'role' field"),
    ] {
        let answer = bench.direct(Method::POST, "/chat/user1", body).await?;
        assert_eq!((answer.status.as_u16(), answer.detail()), (400, detail), "{body}: {answer:?}");
    }
    // Between actors the case arrives, although the sidecar's gRPC API brings back nothing but a body.
    for (fault, case) in [("invalid", "invalid"), ("not-found", "not-found"), ("failed", "other")] {
        let call = json!({"type": "Exerciser", "id": "b", "method": "Fail",
            "payload": {"fault": fault, "message": "my words"}});
        let reply = bench.call("a", "CallActor", &call).await?;
        assert_eq!(reply["error"]["case"], case, "{reply}");
        assert!(reply["error"]["message"].as_str().is_some_and(|text| text.contains("my words")), "{reply}");
    }
    Ok(())
}

async fn ids_and_methods_arrive_as_they_were_meant(bench: &Bench) -> anyhow::Result<()> {
    // The id, how a caller writes it in a path of the sidecar, and what it is in a key of the store.
    let ids = [
        ("my user", "my%20user", "my user"),
        ("Grüße 漢", "Gr%C3%BC%C3%9Fe%20%E6%BC%A2", "Grüße 漢"),
        ("a:b@c+d", "a:b@c%2Bd", "a:b@c+d"),
        ("a|b", "a%7Cb", "a|b"),
        ("a&b=c;d", "a&b=c%3Bd", "a&b=c;d"),
        ("A", "A", "A"),
        // The sidecar itself decodes a percent sign once too often, so its own name for such an id is encoded once more.
        ("%41", "%252541", "%2541"),
        ("100% ü", "100%2525%2520%25C3%25BC", "100%25%20%C3%BC"),
    ];
    for (id, segment, name) in ids {
        bench.call(segment, "SetState", &json!({"key": "k", "value": id})).await?;
        let who = bench.call(segment, "WhoAmI", &Value::Null).await?;
        assert_eq!(who["actor_id"], id);
        // The same actor for another one, which calls it by gRPC.
        let read = json!({"type": "Exerciser", "id": id, "method": "GetState", "payload": {"key": "k"}});
        assert_eq!(bench.call("caller", "CallActor", &read).await?, id);
        let key = format!("chat-agent||Exerciser||{name}||k");
        assert_eq!(bench.stack.redis.cli(&["hget", &key, "data"]).await?, json!(id).to_string());
    }
    for (id, ..) in ids {
        let read = json!({"type": "Exerciser", "id": id, "method": "GetState", "payload": {"key": "k"}});
        assert_eq!(bench.call("caller", "CallActor", &read).await?, id, "no other has written there");
    }

    // A method's name stays a name, and never becomes a path.
    let names = [
        "remind/r",
        "timer/t",
        "Echo/../Echo",
        "../../b/method/Echo",
        "remind/r x",
        "Echo?x=1",
        "Echo#x",
        "%45cho",
        "..",
    ];
    for name in names {
        let call = json!({"type": "Exerciser", "id": "injected", "method": name, "payload": 1});
        let reply = bench.call("caller", "CallActor", &call).await?;
        assert_eq!(reply["error"]["case"], "not-found", "{name}: {reply}");
    }
    for segment in ["remind%252Fr", "Echo%252F..%252FEcho", "Echo%253Fx=1", "%252545cho"] {
        let answer = bench.invoke("injected", segment, &json!(1)).await?;
        assert_eq!(answer.code.as_deref(), Some("not-found"), "{segment}: {answer:?}");
    }
    assert_eq!(bench.fired("injected").await?, Vec::<Value>::new());
    Ok(())
}

async fn bodies_that_are_too_long_are_refused(bench: &Bench) -> anyhow::Result<()> {
    let text = |bytes: usize| json!("x".repeat(bytes)).to_string();
    let echo = "/v1.0/actors/Exerciser/a/method/Echo";
    assert_eq!(bench.sidecar(Method::PUT, echo, &text(60_000)).await?.status, 200);
    let by_host = bench.sidecar(Method::PUT, echo, &text(70_000)).await?;
    assert_eq!(by_host.status, 500);
    assert!(by_host.body.to_string().contains("body-too-large"), "{by_host:?}");
    let by_sidecar = bench.sidecar(Method::PUT, echo, &text(5 * 1024 * 1024)).await?;
    assert_eq!((by_sidecar.status.as_u16(), &by_sidecar.body["errorCode"]), (400, &json!("ERR_BAD_REQUEST")));
    let direct = bench.direct(Method::PUT, "/actors/Exerciser/a/method/Echo", &text(70_000)).await?;
    assert_eq!(direct.outcome(), (413, Some("body-too-large")));
    Ok(())
}

async fn events_are_answered_in_the_form_of_dapr(bench: &Bench) -> anyhow::Result<()> {
    let data = |fault: &str| json!({"data": {"actor_id": "e", "fault": fault}}).to_string();
    let cases = [
        ("/subscribe", json!({"data": {"actor_id": "e"}}).to_string(), "SUCCESS"),
        ("/subscribe", json!({"data": "{\"actor_id\":\"e\"}"}).to_string(), "SUCCESS"),
        ("/subscribe", json!({"data": "no JSON"}).to_string(), "DROP"),
        ("/subscribe", "no JSON".to_owned(), "DROP"),
        ("/subscribe", json!({"id": "no data"}).to_string(), "DROP"),
        ("/subscribe", json!({"data": {"actor_id": "x".repeat(70_000)}}).to_string(), "DROP"),
        ("/fails", data("invalid"), "DROP"),
        ("/fails", data("not-found"), "DROP"),
        ("/fails", data("failed"), "RETRY"),
        ("/fails", json!({"data": {"no": "id"}}).to_string(), "DROP"),
    ];
    for (path, body, status) in cases {
        let answer = bench.direct(Method::POST, path, &body).await?;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["status"]),
            (200, &json!(status)),
            "{path} {body}: {answer:?}"
        );
    }
    Ok(())
}

async fn an_event_of_somebody_else_arrives_once(bench: &Bench) -> anyhow::Result<()> {
    let event = json!({"actor_id": "counts"});
    let request = bench.host.sidecar.request(Method::POST, "/v1.0/publish/daca-pubsub/counts").json(&event);
    assert_eq!(Answer::of(request).await?.status, 204);
    support::until_settled(&bench.stack, "counts").await?;
    assert_eq!(bench.call("counts", "Calls", &Value::Null).await?, 2, "the event was the first");
    Ok(())
}

async fn a_deactivated_actor_reads_its_state_again(bench: &Bench) -> anyhow::Result<()> {
    bench.call("d", "SetState", &json!({"key": "k", "value": "old"})).await?;
    bench.stack.redis.cli(&["hset", "chat-agent||Exerciser||d||k", "data", "\"new\""]).await?;
    assert_eq!(
        bench.call("d", "GetState", &json!({"key": "k"})).await?,
        "old",
        "an active actor has a cache"
    );
    assert_eq!(bench.direct(Method::DELETE, "/actors/Exerciser/d", "").await?.status, 200);
    assert_eq!(bench.call("d", "GetState", &json!({"key": "k"})).await?, "new");
    Ok(())
}

async fn an_idle_actor_writes_its_last_state(bench: &Bench) -> anyhow::Result<()> {
    let activations = async || {
        let path = "/v1.0/actors/Sleeper/s/method/Activations";
        bench.sidecar(Method::PUT, path, "null").await?.body.as_u64().context("a number")
    };
    assert_eq!(activations().await?, 1);
    support::eventually("the hook's write is in the store", async || {
        let key = "chat-agent||Sleeper||s||deactivated";
        if bench.stack.redis.cli(&["hget", key, "data"]).await? == "1" {
            return Ok(Some(()));
        }
        // A host that has not heard of its sidecar for a second, on a machine without time, keeps nothing of an activation: it
        // gets another one.
        let active = bench.client.get(bench.host.app.admin_url("/activations")).send().await?;
        let active = active.json::<Value>().await?;
        let mut active = active["activations"].as_array().context("a list")?.iter();
        if !active.any(|one| one["agent_type"] == "Sleeper") {
            activations().await?;
        }
        Ok(None)
    })
    .await?;
    assert!(activations().await? > 1);
    Ok(())
}

async fn direct_calls_of_one_actor_run_one_at_a_time(bench: &Bench) -> anyhow::Result<()> {
    bench.call("slow", "Echo", &Value::Null).await?;
    let calls = (0..8)
        .map(|_| bench.direct(Method::PUT, "/actors/Exerciser/slow/method/AddSlowly", "{\"key\":\"n\"}"));
    for answer in try_join_all(calls).await? {
        assert_eq!(answer.outcome(), (200, None), "{answer:?}");
    }
    assert_eq!(bench.call("slow", "GetState", &json!({"key": "n"})).await?, 8);
    Ok(())
}

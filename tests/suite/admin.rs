//! The operator's port.

use daca_tests::{Answer, Host, chat_agent, default_manifest, digest, eventually, exchange, manifest_of};
use serde_json::{Value, json};

#[tokio::test]
async fn the_operator_sees_what_runs() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    for id in ["user1", "user2"] {
        let answer = host.post(&format!("/chat/{id}"), &json!({"role": "user", "content": "Hi"})).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    host.post("/chat/user2", &json!({"role": "user"})).await?;
    eventually("four effects were sent", async || {
        Ok(host.get_admin("/outbox").await?.body["counts"] == json!({"pending": 0, "sent": 4, "failed": 0}))
    })
    .await?;

    let health = host.get_admin("/health").await?.body;
    for (key, value) in [
        ("status", json!("ready")),
        ("backend", json!("embedded")),
        ("active_actors", json!(2)),
        ("turns_in_flight", json!(0)),
        // The instance of the turn that was refused is gone.
        ("live_instances", json!(1)),
        ("outbox", json!({"pending": 0, "sent": 4, "failed": 0})),
    ] {
        assert_eq!(health[key], value, "{key}: {health}");
    }

    let agents = host.get_admin("/agents").await?.body;
    assert_eq!(agents["agents"].as_array().map(Vec::len), Some(1), "{agents}");
    for (key, value) in [
        ("agent_type", json!("ChatAgent")),
        ("component", json!(chat_agent())),
        ("version", json!(digest(&chat_agent())?)),
        ("bytes", json!(std::fs::metadata(chat_agent())?.len())),
        ("turns", json!(3)),
        ("failed_turns", json!(1)),
        ("faults", json!(0)),
        ("instances_made", json!(2)),
    ] {
        assert_eq!(agents["agents"][0][key], value, "{key}: {agents}");
    }

    let activations = host.get_admin("/activations").await?.body;
    assert_eq!(activations["active"], 2);
    let shown = activations["activations"].as_array().cloned().unwrap_or_default();
    let mut shown = shown
        .iter()
        .map(|one| {
            json!([
                one["agent_type"],
                one["actor_id"],
                one["running"],
                one["queued"],
                one["turns"],
                one["instance"]
            ])
        })
        .collect::<Vec<_>>();
    shown.sort_by_key(Value::to_string);
    assert_eq!(
        shown,
        [json!(["ChatAgent", "user1", false, 0, 1, true]), json!(["ChatAgent", "user2", false, 0, 2, false])]
    );

    let limited = host.get_admin("/activations?limit=1").await?.body;
    assert_eq!(
        (limited["active"].as_u64(), limited["activations"].as_array().map(Vec::len)),
        (Some(2), Some(1))
    );
    let last = host.get_admin("/outbox?limit=1").await?.body;
    assert_eq!(
        (last["entries"][0]["id"].as_u64(), last["entries"].as_array().map(Vec::len)),
        (Some(4), Some(1))
    );
    // Every path that the index names is there.
    let index = host.get_admin("/").await?.body;
    for path in index.as_object().into_iter().flatten().filter_map(|(key, _)| key.strip_prefix("GET ")) {
        assert_eq!(host.get_admin(path).await?.status, 200, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn the_outbox_shows_what_waits_what_was_sent_and_what_failed() -> anyhow::Result<()> {
    let subscriptions = r#"
[host]
effect-attempts = 3
effect-retry-delay = "10ms"
[agents.Exerciser.limits]
turn-time = "10m"
[agents.Exerciser.permissions]
publish = ["bus/*"]
bindings = ["sms/create"]
[[subscriptions]]
pubsub = "bus"
topic = "slow"
path = "/slow"
agent = "Exerciser"
call = "Sleep"
actor-id = { field = "id" }
[[subscriptions]]
pubsub = "bus"
topic = "failing"
path = "/failing"
agent = "Exerciser"
call = "Fail"
actor-id = { field = "id" }
"#;
    let host = Host::start(&manifest_of("Exerciser", "exerciser", subscriptions)).await?;
    let publish = async |actor: &str, topic: &str, event: Value| {
        let payload = json!({"pubsub": "bus", "topic": topic, "event": event});
        host.call(&format!("Exerciser/{actor}"), "Publish", &payload).await
    };
    publish("slow", "slow", json!({"id": "sleeper", "ms": 600_000})).await?;
    host.call(
        "Exerciser/slow",
        "Send",
        &json!({"binding": "sms", "operation": "create", "data": "behind it"}),
    )
    .await?;
    publish("bad", "failing", json!({"id": "failer", "fault": "failed", "message": "out of paper"})).await?;
    publish("good", "nobody-listens", json!({})).await?;

    let statuses = async || {
        let outbox = host.get_admin("/outbox").await?.body;
        let entries = outbox["entries"].as_array().cloned().unwrap_or_default();
        let of = |entry: &Value| json!([entry["target"], entry["actor"], entry["status"]]);
        anyhow::Ok((outbox["counts"].clone(), entries.iter().map(of).collect::<Vec<_>>()))
    };
    // What waits behind an effect of its own actor waits on; what others sent goes its way.
    eventually("one failed, one was sent", async || {
        Ok(statuses().await?.0 == json!({"pending": 2, "sent": 1, "failed": 1}))
    })
    .await?;
    let expected = [
        json!(["bus/slow", "Exerciser/slow", "pending"]),
        json!(["sms/create", "Exerciser/slow", "pending"]),
        json!(["bus/failing", "Exerciser/bad", "failed"]),
        json!(["bus/nobody-listens", "Exerciser/good", "sent"]),
    ];
    assert_eq!(statuses().await?.1, expected);
    let failed = &host.get_admin("/outbox").await?.body["entries"][2];
    let why = failed["error"].as_str().unwrap_or_default();
    assert!(why.contains("/failing: after 3 attempts: out of paper"), "{failed}");
    let given_up = host.wait_for_message("is given up:").await?;
    assert_eq!((&given_up["level"], &given_up["code"]), (&json!("ERROR"), &json!("effect-given-up")));
    Ok(())
}

/// A page of somebody else in the operator's browser must not reach the port: it comes with an Origin, or by a name that
/// somebody made point here.
#[tokio::test]
async fn web_pages_cannot_reach_the_admin_port() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let post = "POST /actors/ChatAgent/victim/method/ProcessMessage";
    let body = r#"{"role": "user", "content": "Hi"}"#;
    for (line, headers, status) in [
        ("GET /health", "Host: localhost", 200),
        ("GET /health", "Host: localhost:8001", 200),
        ("GET /health", "Host: 127.0.0.1:8001", 200),
        ("GET /health", "Host: [::1]:8001", 200),
        (post, "Host: evil.example", 403),
        (post, "Host: evil.example:8001", 403),
        (post, "Host: localhost.evil.example", 403),
        (post, "Host: 127.0.0.1.evil.example", 403),
        (post, "Host: ", 403),
        (post, "Host: localhost\r\nOrigin: http://evil.example", 403),
        (post, "Host: localhost\r\nOrigin: http://localhost:8001", 403),
        (post, "Host: localhost\r\nOrigin: null", 403),
        ("OPTIONS /health", "Host: localhost\r\nOrigin: http://evil.example", 403),
    ] {
        let head =
            format!("{line} HTTP/1.1\r\n{headers}\r\nConnection: close\r\nContent-Length: {}", body.len());
        let answer = Answer::of_text(&exchange(&host.admin, format!("{head}\r\n\r\n{body}").as_bytes())?)?;
        assert_eq!(answer.status.as_u16(), status, "{line}, {headers}: {answer:?}");
        if status == 403 {
            assert_eq!(answer.code.as_deref(), Some("origin-refused"), "{line}, {headers}");
        }
    }
    assert_eq!(host.get("/chat/victim/history").await?.body, json!({"history": []}));
    // Without the header, as HTTP/1.0 allows, nobody can be told from a page either.
    let old = exchange(&host.admin, b"GET /health HTTP/1.0\r\n\r\n")?;
    assert!(old.contains(" 403 "), "{old}");
    Ok(())
}

#[tokio::test]
async fn health_is_on_both_ports() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    assert_eq!(
        (host.get("/healthz").await?.body, host.get("/readyz").await?.body),
        (json!("ok"), json!("ready"))
    );
    assert_eq!(host.get_admin("/health").await?.body["status"], "ready");
    // The application's port says nothing of what only the operator may see.
    for path in ["/agents", "/activations", "/outbox", "/health"] {
        assert_eq!(host.get(path).await?.status, 404, "{path}");
    }
    let call =
        host.send(reqwest::Method::POST, "/actors/ChatAgent/user1/method/ProcessMessage", "{}").await?;
    assert_eq!(call.status, 404);
    Ok(())
}

//! The operator's port.

mod access;

use daca_tests::{Host, chat_agent, default_manifest, digest, eventually, manifest_of, run_in};
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
    // A turn that was answered has its permit for a moment more.
    let health = async || anyhow::Ok(host.get_admin("/health").await?.body);
    eventually("no turn is in flight", async || Ok(health().await?["turns_in_flight"] == 0)).await?;
    assert_health(&host).await?;
    assert_metrics(&host).await?;
    assert_agents(&host).await?;
    assert_activations(&host).await?;
    let last = host.get_admin("/outbox?limit=1").await?.body;
    let entries = &last["entries"];
    assert_eq!((entries[0]["id"].as_u64(), entries.as_array().map(Vec::len)), (Some(4), Some(1)));
    // Every path that the index names is there.
    let index = host.get_admin("/").await?.body;
    for path in index.as_object().into_iter().flatten().filter_map(|(key, _)| key.strip_prefix("GET ")) {
        let path = path.replace("{agent_type}", "ChatAgent").replace("{actor_id}", "user1");
        assert_eq!(host.get_admin(&path).await?.status, 200, "{path}");
    }
    Ok(())
}

async fn assert_health(host: &Host) -> anyhow::Result<()> {
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
    Ok(())
}

async fn assert_metrics(host: &Host) -> anyhow::Result<()> {
    let metrics = host.get_admin("/metrics").await?.body;
    let metrics = metrics.as_str().unwrap_or_default();
    for line in [
        "# TYPE daca_turns_in_flight gauge",
        "daca_turns_in_flight 0",
        "daca_active_actors 2",
        "daca_live_instances 1",
        "daca_effects_pending 0",
        "# TYPE daca_turns_total counter",
        "daca_turns_total{agent_type=\"ChatAgent\"} 3",
        "daca_failed_turns_total{agent_type=\"ChatAgent\"} 0",
        "# TYPE daca_turn_duration_seconds histogram",
        "daca_turn_duration_seconds_count{agent_type=\"ChatAgent\"} 3",
        "daca_queue_wait_seconds_bucket{agent_type=\"ChatAgent\",le=\"+Inf\"} 3",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    Ok(())
}

async fn assert_agents(host: &Host) -> anyhow::Result<()> {
    let agents = host.get_admin("/agents").await?.body;
    assert_eq!(agents["agents"].as_array().map(Vec::len), Some(1), "{agents}");
    for (key, value) in [
        ("agent_type", json!("ChatAgent")),
        ("component", json!(chat_agent())),
        ("version", json!(digest(&chat_agent())?)),
        ("bytes", json!(std::fs::metadata(chat_agent())?.len())),
        ("turns", json!(3)),
        // The call that was refused is its caller's fault.
        ("failed_turns", json!(0)),
        ("faults", json!(0)),
        ("instances_made", json!(2)),
        ("active", json!(2)),
        ("queued", json!(0)),
        ("instances", json!(1)),
        (
            "versions",
            json!([{
                "version": digest(&chat_agent())?,
                "label": &digest(&chat_agent())?[..12],
                "share": 100,
                "turns": 3,
                "failed_turns": 0,
                "faults": 0,
            }]),
        ),
    ] {
        assert_eq!(agents["agents"][0][key], value, "{key}: {agents}");
    }
    Ok(())
}

async fn assert_activations(host: &Host) -> anyhow::Result<()> {
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
    Ok(())
}

/// Two subscriptions: one whose taker sleeps, and one whose taker fails.
const SLOW_AND_FAILING: &str = r#"
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

#[tokio::test]
async fn the_outbox_shows_what_waits_what_was_sent_and_what_failed() -> anyhow::Result<()> {
    let host = Host::start(&manifest_of("Exerciser", "exerciser", SLOW_AND_FAILING)).await?;
    let publish = async |actor: &str, topic: &str, event: Value| {
        let payload = json!({"pubsub": "bus", "topic": topic, "event": event});
        host.call(&format!("Exerciser/{actor}"), "Publish", &payload).await
    };
    publish("slow", "slow", json!({"id": "sleeper", "ms": 600_000})).await?;
    publish("slow", "nobody-listens", json!({"id": "behind it"})).await?;
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
        json!(["bus/nobody-listens", "Exerciser/slow", "pending"]),
        json!(["bus/failing", "Exerciser/bad", "failed"]),
        json!(["bus/nobody-listens", "Exerciser/good", "sent"]),
    ];
    assert_eq!(statuses().await?.1, expected);
    let failed = &host.get_admin("/outbox").await?.body["entries"][2];
    let why = failed["error"].as_str().unwrap_or_default();
    assert!(why.contains("/failing: after 3 attempts: out of paper"), "{failed}");
    assert_eq!(failed["attempts"], 3, "the tries that the text tells of");
    let dropped = host.wait_for_log("the drop", |line| line["code"] == "effect-given-up").await?;
    assert_eq!(dropped["level"], "ERROR");
    Ok(())
}

#[tokio::test]
async fn ps_shows_each_type_and_version() -> anyhow::Result<()> {
    let host = Host::start(&(default_manifest() + &manifest_of("Plain", "plain", ""))).await?;
    host.post("/chat/user1", &json!({"role": "user", "content": "Hi"})).await?;
    host.post("/chat/user1", &json!({"role": "user"})).await?;
    let folder = host.folder();
    let admin = host.admin.trim_start_matches("http://").to_owned();
    let ps =
        async |rest: &[&str]| run_in(folder.path(), [&["ps", "--admin", &admin][..], rest].concat()).await;
    let all = ps(&[]).await?;
    assert_eq!((all.code, all.stdout.lines().count()), (Some(0), 3), "{all:?}");
    let digest = digest(&chat_agent())?;
    // The call that was refused is its caller's fault, and no failure of the version.
    let expected = ["ChatAgent", &digest[..12], &digest[..12], "100", "%", "1", "0", "2", "0", "0"];
    let one = ps(&["ChatAgent"]).await?;
    let rows = one.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect::<Vec<_>>();
    assert_eq!((rows.len(), &rows[1]), (2, &expected.to_vec()));
    let json = ps(&["--json"]).await?;
    assert_eq!(serde_json::from_str::<Value>(&json.stdout)?, host.get_admin("/agents").await?.body);
    let nobody = ps(&["Nobody"]).await?;
    assert!(nobody.stderr.starts_with("error[agent-type-unknown]"), "{nobody:?}");
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
    for path in ["/agents", "/activations", "/outbox", "/health", "/metrics"] {
        assert_eq!(host.get(path).await?.status, 404, "{path}");
    }
    let call =
        host.send(reqwest::Method::POST, "/actors/ChatAgent/user1/method/ProcessMessage", "{}").await?;
    assert_eq!(call.status, 404);
    Ok(())
}

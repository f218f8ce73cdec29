//! State: what goes into a sidecar is found in the real store, in the form that other programs read and write.

use std::time::{Duration, Instant};

use axum::routing::{any, get};
use axum::{Json, Router};
use daca_stack::Sidecar;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{self, Bench, BenchOptions};

const STATE_STORE: &str = "
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: statestore
spec:
  type: state.redis
  version: v1
  metadata:
  - name: redisHost
    value: localhost:6379
  - name: redisPassword
    value: \"\"
  - name: actorStateStore
    value: \"true\"
";

#[tokio::test]
async fn actor_state_lies_in_redis_under_its_documented_key() -> anyhow::Result<()> {
    let stack = support::stack_with(&[("statestore.yaml", STATE_STORE)]).await?;
    let app = serve_counter().await?;
    let sidecar = Sidecar::start(stack.sidecar_options("sidecar", app)?).await?;
    sidecar.wait_ready().await?;

    // The state of an actor is open to it alone, so it is activated first.
    let call = sidecar.request(Method::PUT, "/v1.0/actors/Counter/c1/method/add").send().await?;
    assert_eq!(call.status(), StatusCode::OK);
    let change = json!([{"operation": "upsert", "request": {"key": "total", "value": 3}}]);
    let written = sidecar.request(Method::PUT, "/v1.0/actors/Counter/c1/state").json(&change).send().await?;
    assert_eq!(written.status(), StatusCode::NO_CONTENT);

    assert_eq!(stack.redis.cli(&["hget", "chat-agent||Counter||c1||total", "data"]).await?, "3");
    stack.redis.process.stop().await?;
    stack.redis.start_again().await?;
    assert_eq!(stack.redis.cli(&["hget", "chat-agent||Counter||c1||total", "data"]).await?, "3");
    sidecar.process.stop().await?;
    stack.stop().await
}

/// An app with one actor type whose methods do nothing. Answers its port.
async fn serve_counter() -> anyhow::Result<u16> {
    let nothing = || async { Json(Value::Null) };
    let app = Router::new()
        .route("/healthz", get(nothing))
        .route("/dapr/config", get(|| async { Json(json!({"entities": ["Counter"]})) }))
        .route("/actors/{*path}", any(nothing));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(port)
}

/// Where the Python app of the tutorial keeps the history of `user1`.
const HISTORY: &str = "chat-agent||ChatAgent||user1||history-user1";

/// What the Python app leaves there after one message, byte by byte. Python gives the fields in order; its sidecar's JSON
/// library writes those of a map in any.
const BY_PYTHON: &str = r#"[{"role":"user","content":"Hi, ü & \"q\" <b>"},{"content":"Got your message: Hi, ü & \"q\" <b>","role":"assistant"}]"#;

#[tokio::test]
async fn a_history_that_the_python_app_wrote_is_carried_on_in_its_own_form() -> anyhow::Result<()> {
    let options = BenchOptions { manifest: support::manifest(&[])?, ..BenchOptions::default() };
    let (stack, app, sidecar) = Bench::prepare(options).await?;
    stack.redis.cli(&["hset", HISTORY, "data", BY_PYTHON, "version", "2"]).await?;
    let bench = Bench::beside(stack, app, sidecar).await?;

    let history = bench.direct(Method::GET, "/chat/user1/history", "").await?;
    assert_eq!(history.body["history"], serde_json::from_str::<Value>(BY_PYTHON)?);
    let message = json!({"role": "user", "content": "go on"}).to_string();
    let answer = bench.direct(Method::POST, "/chat/user1", &message).await?;
    assert_eq!(answer.status, 200, "{answer:?}");

    // What was there stays as it was, and what is new is written as Python's `json.dumps` does without blanks.
    let added =
        r#",{"role":"user","content":"go on"},{"role":"assistant","content":"Got your message: go on"}]"#;
    let expected = BY_PYTHON.trim_end_matches(']').to_owned() + added;
    let redis = &bench.stack.redis;
    assert_eq!(redis.cli(&["hget", HISTORY, "data"]).await?, expected);
    assert_eq!(redis.cli(&["hget", HISTORY, "version"]).await?, "3");
    assert_eq!(redis.cli(&["hlen", HISTORY]).await?, "2", "there is no third field");
    // Beside it the host keeps the calls that it has handled, and effects until a commit after they have left, under keys
    // that no agent can name.
    let keys = redis.cli(&["keys", "chat-agent||ChatAgent||*"]).await?;
    let mut keys = keys.lines().collect::<Vec<_>>();
    keys.sort_unstable();
    let own = ["daca:attempts", "daca:effects"].map(|key| format!("chat-agent||ChatAgent||user1||{key}"));
    assert_eq!(keys, [&*own[0], &*own[1], HISTORY]);
    Ok(())
}

/// Reads a key until it is gone, which must not be before its time.
async fn until_gone(bench: &Bench, key: &str, since: Instant, ttl: Duration) -> anyhow::Result<()> {
    support::eventually("the value expires", async || {
        let value = bench.call("a", "GetState", &json!({"key": key})).await?;
        if value == *key {
            return Ok(None);
        }
        anyhow::ensure!(
            value.is_null() && since.elapsed() >= ttl,
            "{key}: {value} after {:?}",
            since.elapsed()
        );
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn with_the_feature_on_a_value_lives_as_long_as_it_should() -> anyhow::Result<()> {
    let config = include_str!("../../../config/dapr-config.yaml");
    let manifest = support::exerciser("");
    let bench =
        Bench::start_with(BenchOptions { manifest, config: Some(config), ..BenchOptions::default() }).await?;
    let set = async |key: &str, ttl: Value| {
        bench.call("a", "SetState", &json!({"key": key, "value": key, "ttl_seconds": ttl})).await
    };
    set("stays", json!(2)).await?;
    set("stays", Value::Null).await?;
    set("lives-long", json!(3600)).await?;
    let since = Instant::now();
    set("goes", json!(2)).await?;
    until_gone(&bench, "goes", since, Duration::from_secs(2)).await?;

    // The same for a value that a new activation has read.
    let since = Instant::now();
    set("goes", json!(3)).await?;
    bench.direct(Method::DELETE, "/actors/Exerciser/a", "").await?;
    until_gone(&bench, "goes", since, Duration::from_secs(3)).await?;

    let all = bench.call("a", "GetMany", &json!({"keys": ["stays", "lives-long", "goes"]})).await?;
    assert_eq!(all, json!(["stays", "lives-long", null]));
    let ttl = async |key: &str| {
        let answer = bench.stack.redis.cli(&["ttl", &format!("chat-agent||Exerciser||a||{key}")]).await?;
        anyhow::Ok(answer.parse::<i64>()?)
    };
    assert_eq!(ttl("stays").await?, -1, "a later write without a time to live keeps the value");
    assert!((1..=3600).contains(&ttl("lives-long").await?));
    Ok(())
}

#[tokio::test]
async fn without_the_feature_a_time_to_live_fails_the_turn_and_says_why() -> anyhow::Result<()> {
    let bench = Bench::start(support::exerciser("")).await?;
    bench.call("a", "SetState", &json!({"key": "k", "value": 1})).await?;
    let answer = bench.invoke("a", "SetState", &json!({"key": "k", "value": 2, "ttl_seconds": 5})).await?;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.body.to_string().contains("ActorStateTTL"), "{answer:?}");
    assert_eq!(bench.call("a", "GetState", &json!({"key": "k"})).await?, json!(1));
    Ok(())
}

#[tokio::test]
async fn bytes_of_every_kind_are_read_as_they_were_written() -> anyhow::Result<()> {
    let bench = Bench::start(support::exerciser("")).await?;
    let all = (0..=255).collect::<Vec<u8>>();
    let values = [
        &all[..],
        &[0, 255, 10],
        b"\"text\"",
        b"aGk=",
        "{\"b\":1.0, \"a\":\"\u{fc}\"} ".as_bytes(),
        b"null",
        b" ",
    ];
    for (number, bytes) in values.iter().enumerate() {
        bench.call("a", "SetBytes", &json!({"key": format!("k{number}"), "bytes": bytes})).await?;
    }
    // From what the activation knows, and from the store.
    for _ in 0..2 {
        for (number, bytes) in values.iter().enumerate() {
            let read = bench.call("a", "GetBytes", &json!({"key": format!("k{number}")})).await?;
            assert_eq!(read, json!(bytes), "k{number}");
        }
        bench.direct(Method::DELETE, "/actors/Exerciser/a", "").await?;
    }
    bench.call("a", "SetBytes", &json!({"key": "empty", "bytes": []})).await?;
    bench.direct(Method::DELETE, "/actors/Exerciser/a", "").await?;
    let read = bench.call("a", "GetBytes", &json!({"key": "empty"})).await?;
    assert!(read.is_null(), "the sidecar shows an empty value and none alike: {read}");
    Ok(())
}

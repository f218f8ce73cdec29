//! The stack itself: what goes into a sidecar is found in the real store.

use axum::routing::{any, get};
use axum::{Json, Router};
use daca_stack::Sidecar;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support;

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

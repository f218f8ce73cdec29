//! The trace context of a request, in all that its turn does.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use daca_tests::Answer;
use serde_json::{Value, json};

use crate::support::{self, Bench, BenchOptions};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn the_trace_of_a_request_reaches_what_its_turn_does() -> anyhow::Result<()> {
    let (recorder, recorded) = serve_recorder().await?;
    let mut manifest = support::exerciser("");
    for method in ["CallActor", "Publish", "Send", "InvokeBinding"] {
        manifest += &format!(
            "[[routes]]
method = \"POST\"
path = \"/{method}/{{id}}\"
agent = \"Exerciser\"
call = \"{method}\"
actor-id = {{ path = \"id\" }}
"
        );
    }
    let components = [("recorder.yaml", &*recorder)];
    let bench =
        Bench::start_with(BenchOptions { manifest, components: &components, ..BenchOptions::default() })
            .await?;
    let event = json!({"pubsub": "daca-pubsub", "topic": "traced", "event": {"x": 1}});
    let binding = json!({"binding": "recorder", "operation": "post", "data": "x"});
    let by_callee = |method: &str, payload: &Value| json!({"type": "Exerciser", "id": "callee", "method": method, "payload": payload});
    let requests = [
        ("Publish", event.clone()),
        ("CallActor", by_callee("Publish", &event)),
        ("Send", binding.clone()),
        ("InvokeBinding", binding.clone()),
        ("CallActor", by_callee("InvokeBinding", &binding)),
    ];
    for (method, payload) in requests {
        let request = bench.client.post(bench.host.app.url(&format!("/{method}/caller")));
        let request = request.header("traceparent", format!("00-{TRACE_ID}-b7ad6b7169203331-01"));
        let answer = Answer::of(request.body(payload.to_string())).await?;
        assert_eq!(answer.status, 200, "{method}: {answer:?}");
        assert!(answer.body["error"].is_null(), "{method}: {answer:?}");
    }
    let events = support::eventually("both events are in the broker", async || {
        let events = bench.stack.redis.cli(&["xrange", "traced", "-", "+"]).await?;
        Ok((events.matches("specversion").count() == 2).then_some(events))
    })
    .await?;
    assert_eq!(events.matches(&format!("\"traceparent\":\"00-{TRACE_ID}-")).count(), 2, "{events}");
    let traces = support::eventually("the binding was called three times", async || {
        let traces = recorded.lock().map(|traces| traces.clone()).unwrap_or_default();
        Ok((traces.len() == 3).then_some(traces))
    })
    .await?;
    assert!(traces.iter().all(|trace| trace.starts_with(&format!("00-{TRACE_ID}-"))), "{traces:?}");
    Ok(())
}

/// What somebody wrote down, in order.
type Recorded = Arc<Mutex<Vec<String>>>;

/// A server that writes down the trace of each request, as the component of a binding.
async fn serve_recorder() -> anyhow::Result<(String, Recorded)> {
    let recorded = Recorded::default();
    let record = {
        let recorded = recorded.clone();
        move |headers: http::HeaderMap| async move {
            let trace = headers.get("traceparent").and_then(|it| it.to_str().ok()).unwrap_or("none");
            if let Ok(mut recorded) = recorded.lock() {
                recorded.push(trace.to_owned());
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().route("/", post(record));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let component = format!(
        "apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: recorder
spec:
  type: bindings.http
  version: v1
  metadata:
  - name: url
    value: http://{address}/
"
    );
    Ok((component, recorded))
}

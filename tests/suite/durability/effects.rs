//! Effects outlive their host.

use std::sync::Arc;

use daca_tests::{Host, eventually, exerciser, manifest_of};
use serde_json::json;

/// The taker of the events is so busy that they wait when their host is killed.
#[tokio::test]
async fn events_that_wait_when_their_host_is_killed_leave_from_the_next_one() -> anyhow::Result<()> {
    let subscription = "[[subscriptions]]
pubsub = \"daca-pubsub\"
topic = \"set\"
path = \"/events/set\"
agent = \"Sink\"
call = \"SetState\"
actor-id = { field = \"to\" }
payload = { field = \"payload\" }
";
    let sink = manifest_of("Sink", "exerciser", "limits = { queue = 1 }");
    // It waits for longer than the test, and is not given up.
    let patient = "[host]\neffect-retry-delay = \"60s\"\n";
    let manifest = [patient, &exerciser(""), &sink, subscription].concat();
    let host = Arc::new(Host::start(&manifest).await?);
    let slow = host.begin("Sink/s", "Sleep", &json!({"ms": 20_000}));
    host.until_busy("Sink/s", 0).await?;
    let queued = host.begin("Sink/s", "Echo", &json!(1));
    host.until_busy("Sink/s", 1).await?;
    for value in 1..=3 {
        let payload = json!({"key": format!("k{value}"), "value": value});
        let event = json!({"to": "s", "payload": payload});
        let event = json!({"pubsub": "daca-pubsub", "topic": "set", "event": event});
        host.call("Exerciser/a", "Publish", &event).await?;
    }
    assert_eq!(host.get_admin("/outbox").await?.body["counts"]["pending"], 3);
    host.signal("KILL")?;
    for cut_off in [slow, queued] {
        assert!(cut_off.await?.is_err());
    }
    let folder = host.folder();
    drop(host);

    // Nobody calls the actor that has published them.
    let host = Host::start_in(folder, &manifest).await?;
    let keys = json!({"keys": ["k1", "k2", "k3"]});
    eventually("the events arrive", async || {
        Ok(host.call("Sink/s", "GetMany", &keys).await? == json!([1, 2, 3]))
    })
    .await?;
    let entries = host.get_admin("/outbox").await?.body["entries"].clone();
    let turns = entries.as_array().into_iter().flatten().map(|entry| entry["turn"].clone());
    assert_eq!(turns.collect::<std::collections::HashSet<_>>().len(), 3, "{entries}");
    Ok(())
}

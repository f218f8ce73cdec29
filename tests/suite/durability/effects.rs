//! Effects outlive their host.

use std::sync::Arc;

use daca_tests::{Host, eventually, exerciser, manifest_of};
use serde_json::json;

/// An actor takes the events of the turns, in which each sets a key of its state.
pub(super) const SUBSCRIPTION: &str = "[[subscriptions]]
pubsub = \"daca-pubsub\"
topic = \"set\"
path = \"/events/set\"
agent = \"Sink\"
call = \"SetState\"
actor-id = { field = \"to\" }
payload = { field = \"payload\" }
";

/// The taker of the events. One call waits for it at most, and the next one finds it busy.
fn sink() -> String {
    let held = "limits = { queue = 1, turn-time = \"10m\" }\npermissions = { actors = [\"Exerciser\"] }";
    manifest_of("Sink", "exerciser", held)
}

/// Publishes events that set these values in the taker's state, one turn for each.
async fn publish(host: &Host, values: &[(&str, u32)]) -> anyhow::Result<()> {
    for (key, value) in values {
        let event = json!({"to": "s", "payload": {"key": key, "value": value}});
        let event = json!({"pubsub": "daca-pubsub", "topic": "set", "event": event});
        host.call("Exerciser/a", "Publish", &event).await?;
    }
    Ok(())
}

/// The taker of the events is so busy that they wait when their host is killed.
#[tokio::test]
async fn events_that_wait_when_their_host_is_killed_leave_from_the_next_one() -> anyhow::Result<()> {
    // Each waits for longer than the test, and is not given up.
    let patient = "[host]\neffect-retry-delay = \"60s\"\n";
    let agents = exerciser("") + &sink() + SUBSCRIPTION;
    let host = Arc::new(Host::start(&[patient, &agents].concat()).await?);
    let held = host.hold("Sink/s");
    host.until_busy("Sink/s", 0).await?;
    let queued = host.begin("Sink/s", "Echo", &json!(1));
    host.until_busy("Sink/s", 1).await?;
    publish(&host, &[("k1", 1), ("k2", 2), ("k3", 3)]).await?;
    assert_eq!(host.get_admin("/outbox").await?.body["counts"]["pending"], 3);
    host.signal("KILL")?;
    for cut_off in [held, queued] {
        assert!(cut_off.await?.is_err());
    }
    let folder = host.folder();
    drop(host);

    // Nobody calls the actor that has published them. An event that meets a full queue is tried again soon.
    let host = Host::start_in(folder, &agents).await?;
    let keys = json!({"keys": ["k1", "k2", "k3"]});
    // Its short queue is full while they arrive.
    eventually("the events arrive", async || {
        Ok(host.invoke("Sink/s", "GetMany", &keys).await?.body == json!([1, 2, 3]))
    })
    .await?;
    let entries = host.get_admin("/outbox").await?.body["entries"].clone();
    let turns = entries.as_array().into_iter().flatten().map(|entry| entry["turn"].clone());
    assert_eq!(turns.collect::<std::collections::HashSet<_>>().len(), 3, "{entries}");
    let is_of_turn = |entry: &serde_json::Value| {
        let identity = entry["identity"].as_str().and_then(|identity| identity.rsplit_once('-'));
        identity.is_some_and(|(turn, _)| entry["turn"] == turn)
    };
    assert!(entries.as_array().into_iter().flatten().all(is_of_turn), "{entries}");
    Ok(())
}

/// Three attempts take 30 ms.
#[tokio::test]
async fn events_wait_for_a_taker_that_is_away_for_longer_than_the_least_attempts() -> anyhow::Result<()> {
    let quick = "[host]\neffect-attempts = 3\n";
    let waits = "effects = { backoff = \"10ms\", backoff-max = \"50ms\" }";
    let host = Arc::new(Host::start(&[quick, &exerciser(waits), &sink(), SUBSCRIPTION].concat()).await?);
    let held = host.hold("Sink/s");
    host.until_busy("Sink/s", 0).await?;
    let queued = host.begin("Sink/s", "Echo", &json!(1));
    host.until_busy("Sink/s", 1).await?;
    publish(&host, &[("k", 1), ("k", 2), ("k", 3)]).await?;
    let attempts =
        async || anyhow::Ok(host.get_admin("/outbox").await?.body["entries"][0]["attempts"].as_u64());
    eventually("more attempts than the least", async || Ok(attempts().await? > Some(3))).await?;
    host.release("Sink/s").await?;
    eventually("the events have left", async || {
        let counts = host.get_admin("/outbox").await?.body["counts"].clone();
        Ok(counts == json!({"pending": 0, "sent": 3, "failed": 0}))
    })
    .await?;
    assert_eq!(host.call("Sink/s", "GetState", &json!({"key": "k"})).await?, json!(3), "in their order");
    for call in [held, queued] {
        assert_eq!(call.await??.status, 200);
    }
    Ok(())
}

/// Publishes an event for which the taker adds one to this key.
async fn count(host: &Host, key: &str) -> anyhow::Result<()> {
    let event = json!({"to": "s", "payload": {"key": key}});
    let event = json!({"pubsub": "daca-pubsub", "topic": "count", "event": event});
    host.call("Exerciser/a", "Publish", &event).await.map(drop)
}

/// Waits until the last one of these was counted, and checks that each was counted once.
async fn counted_once(host: &Host, keys: &[String]) -> anyhow::Result<()> {
    let counts = async |keys: &[String]| host.call("Sink/s", "GetMany", &json!({"keys": keys})).await;
    let (_, last) = keys.split_at(keys.len() - 1);
    eventually("the last event is handled", async || Ok(counts(last).await? != json!([null]))).await?;
    assert_eq!(counts(keys).await?, json!(vec![1; keys.len()]));
    Ok(())
}

/// Those that leave again after a crash must be few, however many have left.
#[tokio::test]
async fn each_of_many_events_is_handled_once_however_often_their_host_is_killed() -> anyhow::Result<()> {
    const EVENTS: usize = 360;
    let subscription = SUBSCRIPTION.replace("SetState", "AddSlowly").replace("\"set\"", "\"count\"");
    let held = "limits = { turn-time = \"10m\" }\npermissions = { actors = [\"Exerciser\"] }";
    let manifest = [exerciser(""), manifest_of("Sink", "exerciser", held), subscription].concat();
    let mut keys = (0..EVENTS).map(|number| format!("k{number}")).collect::<Vec<_>>();

    // None of them is handled before all are published.
    let host = Arc::new(Host::start(&manifest).await?);
    let held = host.hold("Sink/s");
    host.until_busy("Sink/s", 0).await?;
    for key in &keys {
        count(&host, key).await?;
    }
    host.signal("KILL")?;
    assert!(held.await?.is_err());
    let mut folder = host.folder();
    drop(host);

    // In the middle, and at the end.
    for handled in [EVENTS * 4 / 5, EVENTS] {
        let host = Host::start_in(folder, &manifest).await?;
        counted_once(&host, &keys[..handled]).await?;
        folder = host.kill()?;
    }
    // One that leaves behind all that leave again.
    let host = Host::start_in(folder, &manifest).await?;
    keys.push("last".to_owned());
    count(&host, "last").await?;
    counted_once(&host, &keys).await
}

/// One event of each has left and is still stored, so all of them leave again.
#[tokio::test]
async fn events_of_hundreds_of_publishers_are_handled_once_after_a_kill() -> anyhow::Result<()> {
    const PUBLISHERS: usize = 360;
    let subscription = SUBSCRIPTION.replace("SetState", "Add");
    let taker = manifest_of("Sink", "ledger", "limits = { queue = 1000 }");
    let manifest = [exerciser(""), taker, subscription].concat();
    // Publishes an event of each, with numbers from this one on, and waits until the taker has as many.
    let publish = async |host: &Host, from: usize| {
        for publisher in 0..PUBLISHERS {
            let event = json!({"to": "s", "payload": {"number": from + publisher}});
            let event = json!({"pubsub": "daca-pubsub", "topic": "set", "event": event});
            host.call(&format!("Exerciser/p{publisher}"), "Publish", &event).await?;
        }
        let noted = async || {
            let noted = host.call("Sink/s", "Entries", &json!(null)).await?;
            Ok::<_, anyhow::Error>(serde_json::from_value::<Vec<usize>>(noted)?)
        };
        eventually("all are noted", async || {
            let noted = noted().await?;
            Ok((from..from + PUBLISHERS).all(|number| noted.contains(&number)))
        })
        .await?;
        let mut noted = noted().await?;
        noted.sort_unstable();
        anyhow::Ok(noted)
    };
    let host = Host::start(&manifest).await?;
    publish(&host, 0).await?;
    let host = Host::start_in(host.kill()?, &manifest).await?;
    // The second event of each leaves behind its first one.
    let noted = publish(&host, PUBLISHERS).await?;
    assert_eq!(noted, (0..2 * PUBLISHERS).collect::<Vec<_>>());
    Ok(())
}

//! Dead letters of actors: operators find them, and send them after all or remove them, whatever has died meanwhile.

use daca_tests::{Ended, Host, eventually, exerciser, manifest_of, run_in};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The taker of the events does this with them.
fn manifest(method: &str) -> String {
    let subscription = format!(
        "[[subscriptions]]
pubsub = \"daca-pubsub\"
topic = \"told\"
path = \"/events/told\"
agent = \"Sink\"
call = \"{method}\"
actor-id = {{ field = \"to\" }}
payload = {{ field = \"payload\" }}
"
    );
    let sink = manifest_of("Sink", "exerciser", "");
    ["[host]\neffect-attempts = 1\n", &exerciser(""), &sink, &subscription].concat()
}

/// `daca effects` on a host.
async fn effects(host: &Host, rest: &[&str]) -> anyhow::Result<Ended> {
    let folder = TempDir::new()?;
    let admin = host.admin.trim_start_matches("http://");
    run_in(folder.path(), [&["effects"][..], rest, &["--admin", admin]].concat()).await
}

/// The same, which must succeed, as JSON.
async fn effects_json(host: &Host, rest: &[&str]) -> anyhow::Result<Value> {
    let Ended { code, stdout, stderr } = effects(host, &[rest, &["--json"]].concat()).await?;
    anyhow::ensure!(code == Some(0), "{rest:?}: {stderr}");
    Ok(serde_json::from_str(&stdout)?)
}

/// The identities of the actor's dead letters, once there are so many.
async fn dead(host: &Host, count: usize) -> anyhow::Result<Vec<String>> {
    let shown = async || effects_json(host, &["Exerciser/a"]).await;
    eventually(&format!("the actor has {count} dead letters"), async || Ok(shown().await?["dead"] == count))
        .await?;
    let effects = shown().await?["effects"].clone();
    let ids = effects.as_array().into_iter().flatten().filter_map(|effect| effect["id"].as_str());
    Ok(ids.map(str::to_owned).collect())
}

async fn publish(host: &Host, value: u32) -> anyhow::Result<()> {
    // It fits both methods.
    let payload =
        json!({"fault": "failed", "message": "not today", "key": format!("k{value}"), "value": value});
    let event = json!({"pubsub": "daca-pubsub", "topic": "told", "event": {"to": "s", "payload": payload}});
    host.call("Exerciser/a", "Publish", &event).await.map(drop)
}

/// Waits until the metrics have this line.
async fn until_metric(host: &Host, line: &str) -> anyhow::Result<()> {
    eventually(line, async || {
        let metrics = host.get_admin("/metrics").await?.body;
        Ok(metrics.as_str().unwrap_or_default().lines().any(|one| one == line))
    })
    .await
}

/// A client whose connection was cut retries once more.
async fn is_no_longer_dead(host: &Host, id: &str) -> anyhow::Result<()> {
    let Ended { code, stdout, stderr } = effects(host, &["retry", "Exerciser/a", id]).await?;
    let told = stdout.starts_with("Exerciser/a: no dead letter; nothing was changed; the effect is ");
    anyhow::ensure!(told && code == Some(0) && stderr.is_empty(), "{stdout}{stderr}");
    Ok(())
}

/// The first of the two is that of the key `k1`.
async fn assert_two_are_shown(host: &Host) -> anyhow::Result<()> {
    for (rest, words) in [
        (&[][..], ["ACTOR", "Exerciser/a"]),
        (&["Exerciser"][..], ["DEAD", "Exerciser/a"]),
        (&["Exerciser/a"][..], ["daca-pubsub/told", "not today"]),
    ] {
        let Ended { code, stdout, stderr } = effects(host, rest).await?;
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        assert!(words.iter().all(|word| stdout.contains(word)), "{rest:?}: {stdout}");
        assert!(!stdout.contains("\"k1\""), "a payload may be secret: {stdout}");
    }
    assert_eq!(effects_json(host, &["Sink"]).await?["actors"], json!([]));
    let Ended { code, stderr, .. } = effects(host, &["Exerciser", "--payload"]).await?;
    assert!(code == Some(1) && stderr.contains("does not name an actor"), "{stderr}");
    let Ended { code, stdout, .. } = effects(host, &["Exerciser/a", "--from", "99999"]).await?;
    assert!(code == Some(0) && stdout.contains("none of the 2 comes after"), "{stdout}");
    let shown = effects_json(host, &["Exerciser/a", "--payload"]).await?;
    assert!(shown["effects"][0]["data"].as_str().is_some_and(|data| data.contains("\"k1\"")), "{shown}");
    Ok(())
}

#[tokio::test]
async fn dead_letters_survive_a_kill_and_are_retried_or_discarded() -> anyhow::Result<()> {
    let host = Host::start(&manifest("Fail")).await?;
    for value in 1..=2 {
        publish(&host, value).await?;
    }
    let ids = dead(&host, 2).await?;
    for line in [
        "daca_dead_letters_total{agent_type=\"Exerciser\"} 2",
        "daca_agent_effects_pending{agent_type=\"Exerciser\"} 0",
        "daca_agent_effects_given_up{agent_type=\"Exerciser\"} 0",
        "daca_dead_letters_dropped_total{agent_type=\"Exerciser\"} 0",
        "daca_actors_with_dead_letters{agent_type=\"Exerciser\"} 1",
    ] {
        until_metric(&host, line).await?;
    }

    // The taker is mended, and the host before has died.
    let host = Host::start_in(host.kill()?, &manifest("SetState")).await?;
    // Before anybody asks for them.
    until_metric(&host, "daca_actors_with_dead_letters{agent_type=\"Exerciser\"} 1").await?;
    assert_eq!(dead(&host, 2).await?, ids);
    assert_two_are_shown(&host).await?;

    let Ended { code, stdout, stderr } = effects(&host, &["retry", "Exerciser/a", &ids[0]]).await?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, "Exerciser/a: 1 dead letter; it is pending again\n");
    let keys = json!({"keys": ["k1", "k2"]});
    let state = async || host.call("Sink/s", "GetMany", &keys).await;
    eventually("the event arrives", async || Ok(state().await? == json!([1, null]))).await?;
    is_no_longer_dead(&host, &ids[0]).await?;
    let entries = host.get_admin("/outbox").await?.body["entries"].clone();
    let turn = ids[0].rsplit_once('-').map(|(turn, _)| turn);
    assert_eq!(entries[0]["turn"].as_str(), turn, "the identity is that of before: {entries}");
    let discarded = effects_json(&host, &["discard", "Exerciser/a", "--all"]).await?;
    assert_eq!(discarded["effects"], json!([ids[1]]));

    let host = Host::start_in(host.kill()?, &manifest("SetState")).await?;
    let Ended { stdout, .. } = effects(&host, &[]).await?;
    // What has left just before a kill may leave once more.
    eventually("nothing waits", async || Ok(effects_json(&host, &["Exerciser/a"]).await?["pending"] == 0))
        .await?;
    assert!(!stdout.contains('?'), "{stdout}");
    assert_eq!(dead(&host, 0).await?, [""; 0]);
    let state = host.call("Sink/s", "GetMany", &keys).await?;
    assert_eq!(state, json!([1, null]), "what was discarded is never sent");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_done_to_dead_letters_is_refused() -> anyhow::Result<()> {
    let host = Host::start(&manifest("SetState")).await?;
    let unknown = ["retry", "Exerciser/a", "nobody-0"];
    for (rest, code) in [
        (&unknown[..], "dead-letter-unknown"),
        (&["discard", "Nobody/a", "--all"][..], "agent-type-unknown"),
        (&["discard", "Exerciser", "--all"][..], "actor-id-invalid"),
        (&["Nobody"][..], "agent-type-unknown"),
        (&["Exerciser", "--from", "nothing"][..], "query-invalid"),
    ] {
        let Ended { code: exit, stdout, stderr } = effects(&host, rest).await?;
        assert_eq!((exit, stdout.as_str()), (Some(1), ""), "{rest:?}: {stderr}");
        assert!(stderr.contains(&format!("error[{code}]: ")), "{rest:?}: {stderr}");
    }
    for rest in [&["retry", "Exerciser/a"][..], &["retry", "Exerciser/a", "x", "--all"], &["--payload"]] {
        assert_eq!(effects(&host, rest).await?.code, Some(2), "{rest:?}");
    }
    // Neither an operator nor an agent reaches the method by which hosts ask each other.
    let answer = host.invoke("Exerciser/a", "daca:effects", &json!({})).await?;
    assert_eq!(answer.outcome(), (403, Some("method-reserved")), "{answer:?}");
    let call = json!({"type": "Exerciser", "id": "b", "method": "daca:effects", "payload": {}});
    let refused = host.call("Exerciser/a", "CallActor", &call).await?;
    assert_eq!(refused["error"]["case"], "denied", "{refused}");
    Ok(())
}

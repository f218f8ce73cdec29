//! Dead letters of actors on several hosts: an operator sees and changes all of them over any host.

use daca_tests::{Answer, Ended, run_in};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{self, Chat, eventually};

const ACTORS: usize = 8;

fn name(actor: usize) -> String {
    format!("a{actor}")
}

/// A method of an actor of the type `Exerciser`, over the first host.
async fn call(chat: &Chat, actor: &str, method: &str, payload: &Value) -> anyhow::Result<Value> {
    let path = format!("/actors/Exerciser/{actor}/method/{method}");
    let request = chat.client.post(chat.hosts[0].app.admin_url(&path)).body(payload.to_string());
    let answer = Answer::of(request).await?;
    anyhow::ensure!(answer.status == 200, "{method} of {actor}: {answer:?}");
    Ok(answer.body)
}

/// Each host has some of the actors.
async fn actors_are_spread(chat: &Chat) -> anyhow::Result<()> {
    eventually("each host has some actors", async || {
        for actor in (0..ACTORS).map(name) {
            if call(chat, &actor, "Echo", &json!(1)).await.is_err() {
                return Ok(None);
            }
        }
        let active = [chat.active(0).await?.len(), chat.active(1).await?.len()];
        Ok((active[0] + active[1] == ACTORS && !active.contains(&0)).then_some(()))
    })
    .await
}

/// `daca effects` over one of the hosts, as JSON.
async fn effects(chat: &Chat, host: usize, rest: &[&str]) -> anyhow::Result<Value> {
    let folder = TempDir::new()?;
    let admin = chat.hosts[host].app.admin_url("");
    let arguments = [&["effects"][..], rest, &["--json", "--admin", &admin]].concat();
    let Ended { code, stdout, stderr } = run_in(folder.path(), arguments).await?;
    anyhow::ensure!(code == Some(0), "{rest:?}: {stderr}");
    Ok(serde_json::from_str(&stdout)?)
}

/// The actors that the list of a host has, with the number of their dead letters.
async fn listed(chat: &Chat, host: usize) -> anyhow::Result<Vec<(String, u64)>> {
    let list = effects(chat, host, &["Exerciser"]).await?;
    let actors = list["actors"].as_array().cloned().unwrap_or_default();
    let actor = |actor: &Value| {
        (
            actor["actor_id"].as_str().unwrap_or_default().to_owned(),
            actor["dead"].as_u64().unwrap_or_default(),
        )
    };
    Ok(actors.iter().map(actor).collect())
}

async fn until_listed(chat: &Chat, expected: &[(String, u64)]) -> anyhow::Result<()> {
    for host in [0, 1] {
        eventually(&format!("host {host} lists {expected:?}"), async || {
            Ok((listed(chat, host).await? == expected).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn dead_letters_of_all_hosts_are_seen_and_changed_over_any_of_them() -> anyhow::Result<()> {
    let manifest = support::exerciser("").replace("daca-pubsub/*", "nowhere/*");
    let (options, _components) = support::without_kafka()?;
    let chat = Chat::start_on(options, 2, &manifest).await?;
    actors_are_spread(&chat).await?;
    for actor in (0..ACTORS).map(name) {
        // No sidecar has such a component.
        let event = json!({"pubsub": "nowhere", "topic": "t", "event": {"secret": "s3cret"}});
        call(&chat, &actor, "Publish", &event).await?;
    }
    let mut expected = (0..ACTORS).map(|actor| (name(actor), 1)).collect::<Vec<_>>();
    until_listed(&chat, &expected).await?;

    for (actor, _) in expected.clone() {
        let of = format!("Exerciser/{actor}");
        let before = effects(&chat, 1, &[&of]).await?;
        let letter = before["effects"][0].clone();
        assert_eq!((&letter["state"], &letter["target"]), (&json!("dead"), &json!("nowhere/t")), "{actor}");
        assert!(!before.to_string().contains("s3cret"), "{before}");
        let id = letter["id"].as_str().unwrap_or_default();
        let retried = effects(&chat, 1, &["retry", &of, id]).await?;
        assert_eq!(retried["effects"], json!([id]));
        // It fails again, and keeps its identity.
        eventually("it is a dead letter again", async || {
            let after = effects(&chat, 0, &[&of]).await?;
            let again = &after["effects"][0];
            let is_again = again["state"] == "dead" && again["since_unix_ms"] != letter["since_unix_ms"];
            Ok((is_again && again["id"] == letter["id"]).then_some(()))
        })
        .await?;
    }
    let (first, _) = expected.remove(0);
    effects(&chat, 1, &["discard", &format!("Exerciser/{first}"), "--all"]).await?;
    until_listed(&chat, &expected).await?;
    for (actor, _) in &expected {
        effects(&chat, 0, &["discard", &format!("Exerciser/{actor}"), "--all"]).await?;
    }
    until_listed(&chat, &[]).await
}

/// A sidecar brings the calls of every app that reaches it.
#[tokio::test]
async fn nobody_but_a_host_reaches_the_method_of_the_hosts() -> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let chat = Chat::start_on(options, 1, &support::exerciser("")).await?;
    let http = chat.hosts[0].sidecar.options.ports.http;
    let forged =
        json!({"at": 0, "request": "{\"change\":{\"action\":\"discard\",\"id\":null}}", "seal": "00"});
    for body in ["{}".to_owned(), forged.to_string()] {
        let url = format!("http://127.0.0.1:{http}/v1.0/actors/Exerciser/a/method/daca:effects");
        let answer = Answer::of(chat.client.put(url).body(body)).await?;
        assert!(answer.body.to_string().contains("method-reserved"), "{answer:?}");
    }
    let call_of = json!({"type": "Exerciser", "id": "b", "method": "daca:effects", "payload": {}});
    let refused = call(&chat, "a", "CallActor", &call_of).await?;
    assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains("reserved")), "{refused}");
    Ok(())
}

//! Several hosts that agree on the version that serves, whatever happens to them and to the store.

use daca_tests::{Answer, guest};
use futures::future::try_join_all;
use serde_json::json;

use crate::deploying::{self, TYPE};
use crate::support::{self, Chat, eventually};

/// Enough actors that each of three hosts has some.
fn some_actors() -> Vec<String> {
    (0..40).map(|number| format!("some-{number}")).collect()
}

/// The versions that answer these actors over a host.
async fn answering(chat: &Chat, host: usize) -> anyhow::Result<Vec<String>> {
    let actors = some_actors();
    let noted = try_join_all(actors.iter().map(|actor| chat.noted(host, actor))).await?;
    Ok(noted.into_iter().map(|(version, _)| version).collect())
}

/// Every host names all hosts, and this version for each of them.
async fn until_all_name_all(chat: &Chat, version: &str) -> anyhow::Result<()> {
    for host in 0..chat.hosts.len() {
        eventually(&format!("host {host} names all hosts"), async || {
            let hosts = chat.operator(host).versions().await?["hosts"].clone();
            let hosts = hosts.as_array().cloned().unwrap_or_default();
            let all = hosts.len() == chat.hosts.len()
                && hosts.iter().all(|one| one["serving"][TYPE] == version)
                && hosts[0]["this"] == true;
            Ok(all.then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// The answers to two deployments at once, of which one wins. On a busy machine one may be over before the other begins: then
/// once more.
async fn two_at_once(chat: &Chat) -> anyhow::Result<(Answer, Answer)> {
    let (one, two) = (chat.operator(0), chat.operator(1));
    for _ in 0..5 {
        let (a, b) = tokio::try_join!(one.deploy("swapped_v2"), two.deploy("swapped_traps"))?;
        match (a.status == 200, b.status == 200) {
            (true, true) => drop(one.deployed("swapped_v1").await?),
            (true, false) => return Ok((a, b)),
            _ => return Ok((b, a)),
        }
    }
    anyhow::bail!("each time one came after the other")
}

#[tokio::test]
async fn what_is_done_on_one_host_is_done_on_all_of_them_and_of_two_at_once_one_wins() -> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let chat = Chat::start_on(options, 3, &deploying::manifest("")).await?;
    let (one, two, three) = (chat.operator(0), chat.operator(1), chat.operator(2));

    let (won, lost) = two_at_once(&chat).await?;
    let winner = one.changed(&won)?;
    assert_eq!(lost.outcome(), (409, Some("deploy-conflict")), "{lost:?}");
    assert!(lost.detail().contains(&winner[..12]), "who lost is told what serves: {lost:?}");
    chat.until_agreed(&winner).await?;

    // One after the other is no conflict, whichever host is asked.
    let v1 = three.deployed("swapped_v1").await?;
    let v2 = one.deployed("swapped_v2").await?;
    chat.until_agreed(&v2).await?;
    until_all_name_all(&chat, &v2).await?;
    for host in 0..3 {
        assert_eq!(answering(&chat, host).await?, vec!["v2"; some_actors().len()]);
        eventually("the host has some of the actors", async || {
            answering(&chat, host).await?;
            Ok((!chat.active(host).await?.is_empty()).then_some(()))
        })
        .await?;
    }

    assert_eq!(two.changed(&two.roll_back().await?)?, v1);
    chat.until_agreed(&v1).await?;
    let refused = three.deploy("swapped_fails_activate").await?;
    assert_eq!(refused.outcome(), (422, Some("trial-failed")), "{refused:?}");
    let record = chat.until_agreed(&v1).await?;
    let last = record["history"].as_array().and_then(|history| history.last().cloned()).unwrap_or_default();
    assert_eq!((&last["what"], &last["code"]), (&json!("refused"), &json!("trial-failed")), "{record:#}");

    assert_eq!(two.changed(&two.deploy_as("swapped_v2", "?share=30").await?)?, v2);
    let record = chat.until_agreed(&v1).await?;
    assert_eq!(record["canary"], json!({"version": v2, "share": 30}));
    let share = answering(&chat, 0).await?;
    assert!(share.contains(&"v1".to_owned()) && share.contains(&"v2".to_owned()), "{share:?}");
    for host in 1..3 {
        assert_eq!(answering(&chat, host).await?, share);
    }
    let held = some_actors()[share.iter().position(|version| version == "v1").unwrap_or_default()].clone();
    three.changed(&three.pin(&held, &v2).await?)?;
    let record = chat.until_agreed(&v1).await?;
    assert_eq!(record["pins"], json!({ &held: v2 }));
    for host in 0..3 {
        assert_eq!(chat.noted(host, &held).await?.0, "v2");
    }
    Ok(())
}

/// Starts the second host again with its sidecar. From the beginning it is asked for actors, of which some are its own; its
/// first answers must be of this version already.
async fn first_answers_are_of(chat: &Chat, version: &str) -> anyhow::Result<()> {
    let host = &chat.hosts[1];
    tokio::try_join!(host.app.start_again(), host.sidecar.start_again())?;
    for actor in some_actors() {
        let first = eventually("the host answers", async || Ok(chat.noted(1, &actor).await.ok())).await?;
        assert_eq!(first.0, version, "{actor}");
    }
    host.wait_ready().await?;
    eventually("it has actors of its own", async || {
        assert!(answering(chat, 1).await?.iter().all(|answered| answered == version));
        Ok((!chat.active(1).await?.is_empty()).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_host_that_was_away_or_is_new_never_answers_with_the_version_of_before() -> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let mut chat = Chat::start_on(options, 2, &deploying::manifest("")).await?;
    let away = &chat.hosts[1];
    away.stop().await?;
    let passed = chat.operator(0).deployed("swapped_traps").await?;
    let v2 = chat.operator(0).deployed("swapped_v2").await?;
    first_answers_are_of(&chat, "v2").await?;
    chat.until_agreed(&v2).await?;

    // It goes back to a version that it has never had.
    let operator = chat.operator(1);
    assert_eq!(operator.changed(&operator.deploy_kept(&passed).await?)?, passed);
    chat.until_agreed(&passed).await?;
    assert_eq!(operator.changed(&operator.roll_back().await?)?, v2);
    chat.until_agreed(&v2).await?;

    // It has nothing but the manifest's file, which holds the first version.
    away.stop().await?;
    std::fs::remove_dir_all(&away.app.options.data)?;
    first_answers_are_of(&chat, "v2").await?;
    chat.until_agreed(&v2).await?;
    until_all_name_all(&chat, &v2).await?;

    // As in the rolling update of a Deployment: a new host whose file is new to all of them brings it.
    let other = deploying::manifest_of(&guest("swapped_back"), "");
    std::fs::write(chat.stack.folder.join("other.toml"), other)?;
    chat.add_host_with("other.toml").await?;
    eventually("the new file serves", async || Ok((chat.noted(0, "anybody").await?.0 == "v4").then_some(())))
        .await?;
    let v4 = chat.operator(2).versions().await?["serving"].as_str().unwrap_or_default().to_owned();
    chat.until_agreed(&v4).await?;
    Ok(())
}

#[tokio::test]
async fn when_the_shared_record_is_lost_the_hosts_write_it_again_and_agree() -> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let chat = Chat::start_on(options, 2, &deploying::manifest("")).await?;
    let redis = &chat.stack.redis;
    let key = format!("chat-agent||daca-record-{TYPE}");
    // Its etag is then one that hosts have seen before.
    assert_eq!(redis.cli(&["del", &key]).await?, "1");
    let v2 = chat.operator(0).deployed("swapped_v2").await?;
    chat.until_agreed(&v2).await?;
    assert_eq!(redis.cli(&["del", &key]).await?, "1");
    eventually(
        "the record is there",
        async || Ok((redis.cli(&["exists", &key]).await? == "1").then_some(())),
    )
    .await?;
    let v1 = chat.operator(1).deployed("swapped_v1").await?;
    chat.until_agreed(&v1).await?;
    Ok(())
}

#[tokio::test]
async fn while_the_state_store_is_away_nothing_is_deployed_and_what_serves_keeps_serving()
-> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("agent.wasm");
    std::fs::copy(guest("swapped_v1"), &file)?;
    let chat = Chat::start_on(options, 2, &deploying::manifest_of(&file, "")).await?;
    assert_eq!(chat.add(0, "active", 1).await?, "v1");

    let redis = &chat.stack.redis;
    redis.process.stop().await?;
    let refused = chat.operator(0).deploy("swapped_traps").await?;
    assert_eq!(refused.outcome(), (503, Some("shared-state-unavailable")), "{refused:?}");
    std::fs::copy(guest("swapped_v2"), &file)?;
    // The file is deployed later. An error of the shared state itself is an ERROR.
    chat.until_with(&[("level", "WARN"), ("code", "shared-state-unavailable")]).await?;
    assert_eq!(chat.noted(0, "active").await?, ("v1".into(), vec![1]));

    redis.start_again().await?;
    eventually("the file serves", async || {
        let answer = chat.noted(1, "active").await.ok();
        Ok((answer == Some(("v2".into(), vec![1]))).then_some(()))
    })
    .await?;
    let v1 = chat.operator(1).deployed("swapped_v1").await?;
    chat.until_agreed(&v1).await?;
    Ok(())
}

#[tokio::test]
async fn a_host_that_cannot_get_a_version_takes_no_state_for_none_that_it_has_migrated() -> anyhow::Result<()>
{
    let (options, _components) = support::without_kafka()?;
    let chat = Chat::start_on(options, 2, &deploying::manifest("")).await?;
    for actor in some_actors() {
        chat.add(0, &actor, 1).await?;
    }
    let (host, redis) = (&chat.hosts[1], &chat.stack.redis);
    host.stop().await?;
    let v3 = chat.operator(0).deployed("swapped_migrates").await?;
    let migrated = ("v3".to_owned(), vec![1]);
    for actor in some_actors() {
        let noted = eventually("it answers", async || Ok(chat.noted(0, &actor).await.ok())).await?;
        assert_eq!(noted, migrated);
    }
    let pattern = format!("chat-agent||daca-component-{TYPE}-{v3}*");
    for key in redis.cli(&["keys", &pattern]).await?.lines() {
        redis.cli(&["del", key]).await?;
    }

    tokio::try_join!(host.app.start_again(), host.sidecar.start_again())?;
    host.wait_ready().await?;
    // What the other host deployed cannot serve here.
    chat.until_with(&[("level", "ERROR"), ("code", "version-unknown"), ("agent_type", TYPE)]).await?;
    eventually("it has some of the actors", async || {
        let mut refused = 0;
        for actor in some_actors() {
            let url = chat.hosts[0].app.url(&format!("/entries/{actor}"));
            let answer = Answer::of(chat.client.get(url)).await?;
            match answer.outcome() {
                (200, None) => assert_eq!(answer.body, json!({"version": "v3", "entries": [1]})),
                (503, Some("state-shape-unknown")) => refused += 1,
                // In the middle of a change of hosts.
                (503, Some(_)) => {}
                _ => anyhow::bail!("{actor}: {answer:?}"),
            }
        }
        Ok((refused > 0).then_some(()))
    })
    .await?;

    // With the next change, whoever has the bytes puts them there again.
    chat.operator(0).pin("somebody", &v3).await?;
    chat.until_agreed(&v3).await?;
    for actor in some_actors() {
        assert_eq!(chat.noted(1, &actor).await?, migrated);
    }
    Ok(())
}

#[tokio::test]
async fn without_the_state_store_that_the_manifest_names_deployments_reach_one_host() -> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let manifest = deploying::manifest("[dapr]\nstate-store = \"nowhere\"");
    let chat = Chat::start_on(options, 1, &manifest).await?;
    assert_eq!(chat.add(0, "a", 1).await?, "v1");
    chat.until_with(&[("code", "shared-state-missing")]).await?;
    chat.operator(0).deployed("swapped_v2").await?;
    assert_eq!(chat.noted(0, "a").await?, ("v2".into(), vec![1]));
    Ok(())
}

//! A rollout of a release: hosts of the release before and of this one work under one app id, and the old ones are replaced
//! under load. `cargo xtask previous` builds the program of the release before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daca_stack::{AppOptions, HostWithSidecar};
use daca_tests::{Answer, Process, Program, client, daca, folders, is_well, ports, run_arguments};
use serde_json::{Value, json};

use crate::deploying;
use crate::hosts::{Answers, Callers, MIN_ANSWERED, actors_are_spread};
use crate::support::{self, Chat, eventually, ledger_manifest};

/// The program of the release before. Without its sources these tests are skipped.
fn previous() -> anyhow::Result<Option<PathBuf>> {
    let program = folders::previous_daca();
    if program.is_file() {
        return Ok(Some(program));
    }
    let reason = std::fs::read_to_string(folders::no_previous_daca());
    let reason = reason
        .with_context(|| format!("{} is missing: build it with cargo xtask previous", program.display()))?;
    eprintln!("SKIPPED: {reason}");
    Ok(None)
}

/// A manifest that the release before reads, too.
fn manifest(announce: &str) -> String {
    ledger_manifest(announce, "").replace("effects = { backoff-max = \"5s\" }\n", "")
}

/// A host of this release and one of the release before, in this order.
async fn two_releases(manifest: &str, previous: PathBuf) -> anyhow::Result<(Chat, tempfile::TempDir)> {
    let (options, components) = support::without_kafka()?;
    let mut chat = Chat::start_on(options, 0, manifest).await?;
    chat.add_host().await?;
    chat.add_host_of(previous, "agents.toml").await?;
    Ok((chat, components))
}

/// Replaces a host by one of this release on its ports, with its data folder, as a volume would have it.
async fn replace(chat: &mut Chat, host: usize) -> anyhow::Result<()> {
    let old = &chat.hosts[host];
    // The release before keeps effects in memory alone, and needs its sidecar for them until its end.
    old.stop().await?;
    let options = old.app.options.clone();
    let app = AppOptions { program: Program { path: daca(), ..options.program }, ..options };
    let sidecar = old.sidecar.options.clone();
    chat.hosts[host] = HostWithSidecar::start(app, sidecar).await?;
    Ok(())
}

/// Both releases have actors when the load begins, and it goes on until the last host is of this one.
async fn roll_out(chat: &mut Chat, with_keys: bool) -> anyhow::Result<Answers> {
    let load = match with_keys {
        true => Callers::start_with_keys(chat, &[0, 1]).await?,
        false => Callers::start(chat, &[0, 1]).await?,
    };
    load.until_answered(MIN_ANSWERED).await?;
    replace(chat, 1).await?;
    load.until_answered(MIN_ANSWERED).await?;
    let answers = load.stop().await?;
    actors_are_spread(chat, &[0, 1]).await?;
    Ok(answers)
}

/// Whatever was noted has its SMS and its event, whichever release noted it.
async fn every_effect_has_left(chat: &Chat, answers: &Answers) -> anyhow::Result<()> {
    let mut expected = BTreeSet::new();
    for actor in answers.by_actor.keys() {
        let entries = chat.entries(0, actor).await?;
        expected.extend(entries.into_iter().map(|number| format!("{actor} {number}")));
    }
    eventually("every SMS is sent", async || {
        let sent = chat.stack.twilio.received().into_iter().map(|sms| sms.body).collect::<BTreeSet<_>>();
        Ok(expected.is_subset(&sent).then_some(()))
    })
    .await?;
    eventually("every event is published", async || {
        let events = chat.events("ledger").await?.into_iter();
        let published = events.map(|data| {
            let (actor, number) = (data["actor_id"].as_str().unwrap_or_default(), &data["number"]);
            format!("{actor} {number}")
        });
        Ok(expected.is_subset(&published.collect::<BTreeSet<_>>()).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_rollout_loses_no_call_and_no_effect_and_doubles_no_call() -> anyhow::Result<()> {
    let Some(previous) = previous()? else { return Ok(()) };
    let (mut chat, _components) = two_releases(&manifest("sms event"), previous).await?;
    let answers = roll_out(&mut chat, false).await?;
    every_effect_has_left(&chat, &answers).await?;
    assert_eq!(answers.kept_through_a_join(&chat, 0, "a rollout, calls without keys").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_rollout_handles_each_call_with_a_key_once() -> anyhow::Result<()> {
    let Some(previous) = previous()? else { return Ok(()) };
    let (mut chat, _components) = two_releases(&manifest("sms event"), previous).await?;
    let answers = roll_out(&mut chat, true).await?;
    every_effect_has_left(&chat, &answers).await?;
    let told = answers.by_actor.clone();
    assert_eq!(answers.kept_through_a_join(&chat, 0, "a rollout, calls with keys").await?, 0);
    for (actor, told) in &told {
        assert_eq!(&chat.entries(0, actor).await?, told, "{actor}");
    }
    Ok(())
}

#[tokio::test]
async fn what_one_release_deploys_serves_on_hosts_of_the_other() -> anyhow::Result<()> {
    let Some(previous) = previous()? else { return Ok(()) };
    let (mut chat, _components) = two_releases(&deploying::manifest(""), previous).await?;
    let v2 = chat.operator(0).deployed("swapped_v2").await?;
    chat.until_agreed(&v2).await?;
    let old = chat.operator(1);
    let v1 = old.changed(&old.deploy_as("swapped_v1", "?share=30").await?)?;
    let record = chat.until_agreed(&v2).await?;
    assert_eq!(record["canary"], json!({ "version": v1, "share": 30 }));
    old.changed(&old.pin("held", &v1).await?)?;
    let record = chat.until_agreed(&v2).await?;
    assert_eq!(record["pins"], json!({ "held": v1 }));
    for host in 0..2 {
        assert_eq!(chat.noted(host, "held").await?.0, "v1");
    }
    // It ends the canary alone.
    let new = chat.operator(0);
    assert_eq!(new.changed(&new.roll_back().await?)?, v2);
    chat.until_agreed(&v2).await?;
    replace(&mut chat, 1).await?;
    let record = chat.until_agreed(&v2).await?;
    assert_eq!(record["pins"], json!({ "held": v1 }));
    // The actors have moved, and calls may be refused for a moment.
    let noted = eventually("the actor answers", async || Ok(chat.noted(1, "held").await.ok())).await?;
    assert_eq!(noted.0, "v1");
    Ok(())
}

/// A host on its own in a folder, with the manifest and the data that are there. Answers its address.
async fn standalone(program: &Path, folder: &Path, name: &str) -> anyhow::Result<(Process, String)> {
    let (listen, admin) = (ports::free()?, ports::free()?);
    let (manifest, data) = (folder.join("agents.toml"), folder.join("data"));
    let address = |port: u16| format!("127.0.0.1:{port}");
    let program = Program::new(name, program, folder)
        .arguments(run_arguments("embedded", &manifest, &data, address(listen)))
        .option("--admin", address(admin));
    let process = Process::start(program)?;
    let (client, url) = (client()?, format!("http://{}", address(listen)));
    let ready = format!("{url}/readyz");
    process.wait_until("ready", async || is_well(&client, &ready).await).await?;
    Ok((process, url))
}

/// Tells an actor a number, with the number as its key. Answers what the actor replied.
async fn tell(client: &reqwest::Client, url: &str, number: u64) -> anyhow::Result<Value> {
    let request = client.post(url).header("Idempotency-Key", number.to_string());
    let answer = Answer::of(request.body(json!({ "number": number }).to_string())).await?;
    anyhow::ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.body)
}

/// One machine is upgraded, and goes back, and forth again.
#[tokio::test]
async fn a_data_folder_serves_this_release_and_the_one_before_in_turn() -> anyhow::Result<()> {
    let Some(previous) = previous()? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("agents.toml"), manifest(""))?;
    let (this, client) = (daca(), client()?);
    let mut replies = Vec::new();
    for (number, program) in (1_u64..).zip([&previous, &this, &previous, &this]) {
        let (process, url) = standalone(program, folder.path(), &format!("run-{number}")).await?;
        let url = format!("{url}/ledger/a");
        // What an earlier run has handled is not handled again.
        for (earlier, reply) in &replies {
            assert_eq!(tell(&client, &url, *earlier).await?, *reply, "run {number}");
        }
        replies.push((number, tell(&client, &url, number).await?));
        let entries = Answer::of(client.get(&url)).await?.body;
        assert_eq!(entries, json!({ "entries": (1..=number).collect::<Vec<_>>() }));
        process.stop().await?;
    }
    Ok(())
}

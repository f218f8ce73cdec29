//! `direct-calls`: what is served without the sidecar keeps the sidecar's promises, whatever happens to hosts and sidecars.
//!
//! The callers of [`crate::hosts`] read each number that was acknowledged over another host: an actor that lived in two places
//! would show there as a read without it.

use std::time::Duration;

use daca_tests::metrics;
use serde_json::json;

use crate::hosts::{Callers, MIN_ANSWERED, actors_are_spread, until_all_answer};
use crate::support::{self, Chat, eventually, ledger_manifest};

fn manifest() -> String {
    with_timeout("10m")
}

fn with_timeout(idle: &str) -> String {
    let text = ledger_manifest("event", "") + "\n[dapr]\ndirect-calls = true\n";
    text.replace("[agents.Ledger]\n", &format!("[agents.Ledger]\nidle-timeout = \"{idle}\"\n"))
}

async fn start(hosts: usize, manifest: &str) -> anyhow::Result<(Chat, tempfile::TempDir)> {
    let (options, components) = support::without_kafka()?;
    Ok((Chat::start_on(options, hosts, manifest).await?, components))
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Calls of actors that the sidecar of a host has sent to it, by the sidecar's own count.
async fn calls_by_sidecar(chat: &Chat, host: usize) -> anyhow::Result<f64> {
    let port = chat.hosts[host].sidecar.options.ports.metrics;
    let text = chat.client.get(format!("http://127.0.0.1:{port}/metrics")).send().await?.text().await?;
    let is_of_actors = |line: &str| line.contains("method=\"PUT\"") || line.contains("actors");
    Ok(metrics::sum(&text, &["dapr_http_client_completed_count"], is_of_actors))
}

async fn add(chat: &Chat, actor: &str, numbers: std::ops::Range<u64>) -> anyhow::Result<()> {
    for number in numbers {
        let answer = chat.post(&format!("/ledger/{actor}"), &json!({"number": number})).await?;
        anyhow::ensure!(answer.0 == 200, "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_active_actor_is_called_without_the_sidecar_and_only_where_the_manifest_says_so()
-> anyhow::Result<()> {
    for (manifest, is_direct) in [(manifest(), true), (ledger_manifest("event", ""), false)] {
        let (chat, _components) = start(1, &manifest).await?;
        add(&chat, "one", 0..2).await?;
        let mut next = 2;
        // A host that a busy machine does not let hear of its sidecar sends it the calls meanwhile: then once more.
        let mut rounds = 0..10;
        loop {
            let before = calls_by_sidecar(&chat, 0).await?;
            add(&chat, "one", next..next + 50).await?;
            next += 50;
            let calls = calls_by_sidecar(&chat, 0).await? - before;
            let is_as_it_should_be = if is_direct { calls < 25.0 } else { calls >= 50.0 };
            if is_as_it_should_be {
                break;
            }
            let may_go_on = is_direct && rounds.next().is_some();
            assert!(may_go_on, "{calls} of 50 calls came from the sidecar");
        }
        assert_eq!(chat.entries(0, "one").await?, (0..next).collect::<Vec<_>>());
    }
    Ok(())
}

#[tokio::test]
async fn turns_that_come_both_ways_run_one_at_a_time() -> anyhow::Result<()> {
    let (chat, _components) = start(1, &manifest()).await?;
    add(&chat, "one", 0..1).await?;
    let by_sidecar = async {
        for number in 1_000..1_100 {
            let path = "/v1.0/actors/Ledger/one/method/Add";
            let request = chat.hosts[0].sidecar.request(http::Method::PUT, path);
            let answer = request.body(json!({"number": number}).to_string()).send().await?;
            anyhow::ensure!(answer.status() == 200, "{}", answer.text().await?);
        }
        Ok(())
    };
    tokio::try_join!(by_sidecar, add(&chat, "one", 1..200), add(&chat, "one", 2_000..2_200))?;
    // Each reads the list, adds to it and writes it: turns that overlapped would lose some.
    let mut entries = chat.entries(0, "one").await?;
    for way in [0..200, 1_000..1_100, 2_000..2_200] {
        let of_way = entries.extract_if(.., |entry| way.contains(entry)).collect::<Vec<_>>();
        assert_eq!(of_way, way.collect::<Vec<_>>());
    }
    Ok(())
}

/// The sidecar does not see direct calls, and so takes the actor for idle. It ends the activation some seconds later than the
/// host would, so that here it is done for it, again and again.
#[tokio::test]
async fn an_actor_that_the_sidecar_takes_for_idle_fails_no_call() -> anyhow::Result<()> {
    let (chat, _components) = start(1, &with_timeout("1s")).await?;
    let load = Callers::start(&chat, &[0]).await?;
    for _ in 0..20 {
        load.until_answered(MIN_ANSWERED / 4).await?;
        for actor in chat.active(0).await? {
            let url = chat.hosts[0].app.url(&format!("/actors/Ledger/{actor}"));
            assert_eq!(chat.client.delete(url).send().await?.status(), 200);
        }
    }
    let answers = load.stop().await?;
    assert_eq!(answers.kept(&chat, 0, "the sidecar's idle clock").await?, 0);
    assert_eq!(answers.failed, Vec::<String>::new());
    eventually("actors that are called no more are deactivated", async || {
        Ok(chat.active(0).await?.is_empty().then_some(()))
    })
    .await
}

#[tokio::test]
async fn hosts_that_join_and_leave_and_die_cause_no_stale_read_and_lose_nothing() -> anyhow::Result<()> {
    let (mut chat, _components) = start(2, &manifest()).await?;
    let load = Callers::start(&chat, &[0, 1]).await?;
    load.until_answered(MIN_ANSWERED).await?;
    chat.add_host().await?;
    load.until_answered(MIN_ANSWERED).await?;
    assert_eq!(load.stop().await?.kept_through_a_join(&chat, 2, "a third host joins").await?, 0);
    actors_are_spread(&chat, &[0, 1, 2]).await?;

    let load = Callers::start_after(&chat, &[0, 1, 2], 1_000_000)?;
    load.until_answered(MIN_ANSWERED).await?;
    let leaving = &chat.hosts[1];
    tokio::try_join!(leaving.app.process.stop(), leaving.sidecar.process.stop())?;
    until_all_answer(&chat, 0).await?;
    load.until_answered(MIN_ANSWERED).await?;
    assert_eq!(load.stop().await?.kept(&chat, 0, "a host leaves").await?, 0);

    let load = Callers::start_after(&chat, &[0, 2], 2_000_000)?;
    load.until_answered(MIN_ANSWERED).await?;
    chat.hosts[2].sidecar.process.kill()?;
    seconds(4).await;
    chat.hosts[2].app.process.kill()?;
    until_all_answer(&chat, 0).await?;
    load.until_answered(MIN_ANSWERED).await?;
    let answers = load.stop().await?;
    assert_eq!(answers.kept(&chat, 0, "a sidecar is killed, and then its host").await?, 0);
    Ok(())
}

/// A host that stood still, or whose sidecar stands still, does not know what became of its actors.
///
/// No load goes on after its sidecar does: with its old table a sidecar serves for some seconds what lives elsewhere, with and
/// without direct calls, until it hears from placement again (`docs/direct-calls.md`).
#[tokio::test]
async fn what_stands_still_serves_nothing_that_lives_elsewhere() -> anyhow::Result<()> {
    tokio::try_join!(a_host_stood_still(), a_sidecar_stands_still(), a_host_goes_on_before_its_sidecar())?;
    Ok(())
}

async fn a_host_stood_still() -> anyhow::Result<()> {
    let (chat, _components) = start(2, &manifest()).await?;
    let load = Callers::start(&chat, &[0, 1]).await?;
    load.until_answered(MIN_ANSWERED).await?;
    chat.hosts[1].app.process.pause()?;
    seconds(6).await;
    chat.hosts[1].app.process.resume()?;
    load.until_answered(MIN_ANSWERED).await?;
    load.stop().await?.kept_through_a_join(&chat, 0, "a host stood still").await?;
    Ok(())
}

async fn a_sidecar_stands_still() -> anyhow::Result<()> {
    let (chat, _components) = start(2, &manifest()).await?;
    let load = Callers::start(&chat, &[0, 1]).await?;
    load.until_answered(MIN_ANSWERED).await?;
    chat.hosts[1].sidecar.process.pause()?;
    seconds(8).await;
    load.until_answered(MIN_ANSWERED / 4).await?;
    load.stop().await?.kept(&chat, 0, "a sidecar stands still").await?;
    Ok(())
}

/// It finds its connections and what it knows as they were.
async fn a_host_goes_on_before_its_sidecar() -> anyhow::Result<()> {
    let (chat, _components) = start(2, &manifest()).await?;
    let load = Callers::start(&chat, &[0, 1]).await?;
    load.until_answered(MIN_ANSWERED).await?;
    chat.hosts[1].sidecar.process.pause()?;
    chat.hosts[1].app.process.pause()?;
    seconds(6).await;
    chat.hosts[1].app.process.resume()?;
    load.until_answered(MIN_ANSWERED / 4).await?;
    load.stop().await?.kept(&chat, 0, "a host goes on, and its sidecar does not").await?;
    Ok(())
}

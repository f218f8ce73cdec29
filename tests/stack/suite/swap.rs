//! Component versions that are swapped behind real sidecars: no call, message or reminder is lost, and all hosts agree.

mod hosts;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use daca_tests::client;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::deploying::{self, TYPE};
use crate::support::{self, Chat, eventually, numbered};

/// Callers that post without a pause, each over a connection of its own.
const CALLERS: usize = 64;
/// Actors that they post to.
const ACTORS: usize = 1_000;
/// Deployments meanwhile.
const SWAPS: usize = 20;
/// Calls that are answered between two of them, at least.
const CALLS_BETWEEN: usize = 400;
/// Actors that messages of Kafka go to.
const READERS: usize = 4;

/// What callers share.
#[derive(Default)]
struct CallersProgress {
    answered: AtomicUsize,
    is_over: AtomicBool,
}

/// A call that was answered.
struct AnsweredCall {
    actor: usize,
    number: u64,
    version: String,
    took: Duration,
}

/// Posts numbers that nobody else posts, to actors that others post to as well.
async fn post_without_pause(
    chat: &Chat,
    caller: usize,
    progress: &CallersProgress,
) -> anyhow::Result<Vec<AnsweredCall>> {
    let client = client()?;
    let mut calls = Vec::new();
    for step in 0.. {
        if progress.is_over.load(Ordering::Relaxed) {
            break;
        }
        let actor = (caller + step * CALLERS) % ACTORS;
        let number = (caller * 1_000_000 + step) as u64;
        let url = chat.hosts[0].app.url(&format!("/add/actor-{actor}"));
        let start = Instant::now();
        let answer = client.post(url).body(json!({ "number": number }).to_string()).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        let took = start.elapsed();
        anyhow::ensure!(status == 200, "actor-{actor}: {status} {text}");
        let answer: Value = serde_json::from_str(&text)?;
        anyhow::ensure!(answer["version"] == answer["check"], "an answer of two versions: {answer}");
        let version = answer["version"].as_str().unwrap_or_default().to_owned();
        calls.push(AnsweredCall { actor, number, version, took });
        progress.answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(calls)
}

/// Deploys the two versions in turn. Answers how long each deployment took.
async fn swap(chat: &Chat, progress: &CallersProgress) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::new();
    for guest in ["swapped_v2", "swapped_v1"].into_iter().cycle().take(SWAPS) {
        let start = Instant::now();
        chat.operator(0).deployed(guest).await?;
        took.push(start.elapsed());
        let enough = progress.answered.load(Ordering::Relaxed) + CALLS_BETWEEN;
        eventually("more calls are answered", async || {
            Ok((progress.answered.load(Ordering::Relaxed) >= enough).then_some(()))
        })
        .await?;
    }
    progress.is_over.store(true, Ordering::Relaxed);
    Ok(took)
}

/// Sends messages, one after the other for each actor. Answers how many each one got.
async fn produce(chat: &Chat, progress: &CallersProgress) -> anyhow::Result<u64> {
    for number in 1.. {
        if progress.is_over.load(Ordering::Relaxed) {
            return Ok(number - 1);
        }
        let names = (0..READERS).map(|reader| format!("reader-{reader}")).collect::<Vec<_>>();
        let messages = names.iter().map(|name| (name, numbered(name, number))).collect::<Vec<_>>();
        try_join_all(messages.iter().map(|(name, message)| chat.produce(Some(name), message))).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(0)
}

/// Each number that was acknowledged is there once, and nothing else.
async fn all_is_noted_once(chat: &Chat, calls: &[AnsweredCall]) -> anyhow::Result<()> {
    let mut told = BTreeMap::<usize, Vec<u64>>::new();
    for call in calls {
        told.entry(call.actor).or_default().push(call.number);
    }
    for (actor, mut told) in told {
        let (_, mut noted) = chat.noted(0, &format!("actor-{actor}")).await?;
        noted.sort_unstable();
        told.sort_unstable();
        anyhow::ensure!(noted == told, "actor-{actor} was told {told:?} and has noted {noted:?}");
    }
    Ok(())
}

#[tokio::test]
async fn no_call_and_no_message_is_lost_doubled_or_mixed_while_versions_are_swapped() -> anyhow::Result<()> {
    let chat = Chat::start_with(1, &deploying::manifest("")).await?;
    let progress = CallersProgress::default();
    let callers = try_join_all((0..CALLERS).map(|caller| post_without_pause(&chat, caller, &progress)));
    let (callers, mut swaps, produced) =
        tokio::try_join!(callers, swap(&chat, &progress), produce(&chat, &progress))?;
    // The first call of each caller finds a host that has done nothing yet.
    let warm = callers.iter().flat_map(|calls| calls.iter().skip(1));
    let mut took = warm.map(|call| call.took).collect::<Vec<_>>();
    let calls = callers.into_iter().flatten().collect::<Vec<_>>();

    all_is_noted_once(&chat, &calls).await?;
    for version in ["v1", "v2"] {
        assert!(calls.iter().any(|call| call.version == version), "{version} has answered no call");
    }
    assert!(calls.iter().all(|call| call.version == "v1" || call.version == "v2"));
    chat.until_committed().await?;
    for reader in 0..READERS {
        let (_, noted) = chat.noted(0, &format!("reader-{reader}")).await?;
        assert_eq!(noted, (1..=produced).collect::<Vec<_>>(), "reader-{reader}");
    }
    assert_eq!(chat.dead_letters().await?, Vec::<Value>::new());
    chat.no_errors_logged()?;

    took.sort_unstable();
    swaps.sort_unstable();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "{} calls and {produced} messages for each of {READERS} actors during {SWAPS} swaps: median {median:?}, longest {:?} more; a deployment took {:?} (median), {:?} (longest)",
        calls.len(),
        longest - median,
        swaps[swaps.len() / 2],
        swaps[swaps.len() - 1],
    );
    Ok(())
}

/// What lies in Redis under a key of an actor; empty when there is nothing.
async fn in_redis(chat: &Chat, actor: &str, key: &str) -> anyhow::Result<String> {
    chat.stack.redis.cli(&["hget", &format!("chat-agent||{TYPE}||{actor}||{key}"), "data"]).await
}

#[tokio::test]
async fn a_reminder_meets_the_new_version_and_state_changes_its_shape_forwards_and_back() -> anyhow::Result<()>
{
    let (options, _components) = support::without_kafka()?;
    let chat = Chat::start_on(options, 1, &deploying::manifest("")).await?;
    // However long the deployment takes on a busy machine, one of them fires after it.
    for seconds in [15, 40, 90] {
        let remind = json!({"name": format!("wake-{seconds}"), "due_ms": seconds * 1000, "number": 7});
        assert_eq!(chat.post("/remind/sleeper", &remind).await?.0, 200);
    }
    for actor in ["migrated", "left-alone"] {
        assert_eq!(chat.add(0, actor, 1).await?, "v1");
    }
    chat.operator(0).deployed("swapped_v2").await?;
    eventually("the reminder fires", async || {
        Ok((chat.get("/fired-by/sleeper").await? == (200, json!("v2"))).then_some(()))
    })
    .await?;
    let (version, numbers) = chat.noted(0, "sleeper").await?;
    assert!(
        version == "v2" && !numbers.is_empty() && numbers.iter().all(|number| *number == 7),
        "{numbers:?}"
    );
    assert_eq!(chat.add(0, "migrated", 2).await?, "v2");

    chat.operator(0).deployed("swapped_migrates").await?;
    assert_eq!(chat.add(0, "migrated", 3).await?, "v3");
    assert_eq!(in_redis(&chat, "migrated", "numbers").await?, r#"[{"n":1},{"n":2},{"n":3}]"#);
    assert_eq!(in_redis(&chat, "migrated", "entries").await?, "");
    let shape = in_redis(&chat, "migrated", "daca:version").await?;
    assert_eq!(serde_json::from_str::<Value>(&shape)?["label"], "2");

    // What was migrated is migrated back, and what was not is as it was.
    chat.operator(0).deployed("swapped_back").await?;
    assert_eq!(chat.noted(0, "migrated").await?, ("v4".into(), vec![1, 2, 3]));
    assert_eq!(chat.add(0, "migrated", 4).await?, "v4");
    assert_eq!(in_redis(&chat, "migrated", "entries").await?, "[1,2,3,4]");
    assert_eq!(in_redis(&chat, "migrated", "numbers").await?, "");
    assert_eq!(chat.noted(0, "left-alone").await?, ("v4".into(), vec![1]));
    chat.no_errors_logged()
}

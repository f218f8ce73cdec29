//! Many callers who notice nothing of a swap.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use daca_tests::deploy::swapped;
use daca_tests::{Host, eventually};
use reqwest::Client;
use serde_json::{Value, json};

const CONNECTIONS: u64 = 64;
const ACTORS: u64 = 1_000;
const DEPLOYMENTS: usize = 20;
/// Calls that are answered between two deployments, so that each version has its turns.
const CALLS_BETWEEN: usize = 400;

const ROUTE: &str = "[[routes]]
method = \"POST\"
path = \"/add/{id}\"
agent = \"Swapped\"
call = \"Add\"
actor-id = { path = \"id\" }
";

/// A call that was answered well.
struct Answered {
    actor: u64,
    /// Where its number stands among the actor's entries, from 1.
    position: u64,
    number: u64,
    version: String,
    took: Duration,
}

/// What all callers share.
#[derive(Default)]
struct Progress {
    answered: AtomicUsize,
    is_over: AtomicBool,
}

/// One caller on one connection: posts without pause until it is over, and fails at the first answer that is not as it must be.
async fn caller(url: &str, first_number: u64, progress: &Progress) -> anyhow::Result<Vec<Answered>> {
    let client = Client::builder().no_proxy().pool_max_idle_per_host(1).build()?;
    let mut all = Vec::new();
    let mut number = first_number;
    while !progress.is_over.load(Ordering::Relaxed) {
        let actor = spread(number);
        let started = Instant::now();
        let body = json!({ "number": number }).to_string();
        let response = client.post(format!("{url}/add/user{actor}")).body(body).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        let took = started.elapsed();
        ensure!(status == 200, "number {number}: {status} {text}");
        let answer: Value = serde_json::from_str(&text)?;
        ensure!(answer["version"] == answer["check"], "an answer of two versions: {text}");
        let version = answer["version"].as_str().context("no version")?.to_owned();
        let position = answer["entries"].as_u64().context("no position")?;
        all.push(Answered { actor, position, number, version, took });
        progress.answered.fetch_add(1, Ordering::Relaxed);
        number += CONNECTIONS;
    }
    Ok(all)
}

/// Spreads numbers over the actors, so that several callers meet at one now and then.
fn spread(number: u64) -> u64 {
    (number.wrapping_mul(6_364_136_223_846_793_005) >> 33) % ACTORS
}

/// Deploys one version after the other while calls are answered; answers how long each deployment took.
async fn deploy_often(host: &Host, progress: &Progress) -> anyhow::Result<Vec<Duration>> {
    let more_calls = async |round: usize| {
        eventually("calls are answered", async || {
            Ok(progress.answered.load(Ordering::Relaxed) >= round * CALLS_BETWEEN)
        })
        .await
    };
    let mut took = Vec::new();
    for round in 1..=DEPLOYMENTS {
        more_calls(round).await?;
        let started = Instant::now();
        let guest = if round % 2 == 1 { "swapped_v2" } else { "swapped_v1" };
        ensure!(host.deploy_guest(guest, "").await?["outcome"] == "deployed");
        took.push(started.elapsed());
    }
    more_calls(DEPLOYMENTS + 1).await?;
    progress.is_over.store(true, Ordering::Relaxed);
    Ok(took)
}

#[tokio::test]
async fn no_call_fails_and_no_entry_is_lost_while_versions_are_swapped_under_load() -> anyhow::Result<()> {
    let host = Host::start(&swapped(ROUTE)).await?;
    let progress = Progress::default();
    let callers = (0..CONNECTIONS).map(|first| caller(&host.app, first, &progress));
    let callers = futures::future::try_join_all(callers);
    let (mut swaps, answered) =
        Box::pin(async { futures::try_join!(deploy_often(&host, &progress), callers) }).await?;
    let answered = answered.into_iter().flatten().collect::<Vec<_>>();

    for version in ["v1", "v2"] {
        let calls = answered.iter().filter(|call| call.version == version).count();
        assert!(calls >= CALLS_BETWEEN, "{version} answered {calls} calls alone");
    }
    let mut expected = BTreeMap::<u64, BTreeMap<u64, u64>>::new();
    for Answered { actor, position, number, .. } in &answered {
        let before = expected.entry(*actor).or_default().insert(*position, *number);
        assert_eq!(before, None, "user{actor} has given position {position} twice");
    }
    for (actor, numbers) in expected {
        let (_, entries) = host.entries(&format!("user{actor}")).await?;
        let positions = numbers.keys().copied().collect::<Vec<_>>();
        assert_eq!(positions, (1..=entries.len() as u64).collect::<Vec<_>>(), "user{actor}");
        assert_eq!(entries, numbers.into_values().collect::<Vec<_>>(), "user{actor}");
    }

    let mut took = answered.iter().map(|call| call.took).collect::<Vec<_>>();
    print(&mut took, &mut swaps);
    Ok(())
}

/// Says what the callers noticed. Nothing is asserted: times are the machine's.
fn print(took: &mut [Duration], swaps: &mut [Duration]) {
    took.sort();
    swaps.sort();
    let at = |all: &[Duration], part: usize| all.get(all.len() * part / 1_000).copied().unwrap_or_default();
    let (median, longest) = (at(took, 500), took.last().copied().unwrap_or_default());
    println!(
        "{} calls on {CONNECTIONS} connections over {} swaps: median {median:?}, 99.9 % within {:?}, the longest waited {:?} longer than the median",
        took.len(),
        swaps.len(),
        at(took, 999),
        longest.saturating_sub(median),
    );
    println!(
        "a deployment took {:?} (median), {:?} at most",
        at(swaps, 500),
        swaps.last().copied().unwrap_or_default()
    );
}

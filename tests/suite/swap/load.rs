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
    started: Instant,
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
        all.push(Answered { actor, position, number, version, started, took });
        progress.answered.fetch_add(1, Ordering::Relaxed);
        number += CONNECTIONS;
    }
    Ok(all)
}

/// Spreads numbers over the actors, so that several callers meet at one now and then.
fn spread(number: u64) -> u64 {
    (number.wrapping_mul(6_364_136_223_846_793_005) >> 33) % ACTORS
}

/// Deploys one version after the other while calls are answered; answers from when to when each deployment was under way.
async fn deploy_often(host: &Host, progress: &Progress) -> anyhow::Result<Vec<(Instant, Instant)>> {
    let more_calls = async || {
        let enough = progress.answered.load(Ordering::Relaxed) + CALLS_BETWEEN;
        let is_enough = async || Ok(progress.answered.load(Ordering::Relaxed) >= enough);
        eventually("calls are answered", is_enough).await
    };
    let mut under_way = Vec::new();
    for round in 1..=DEPLOYMENTS {
        more_calls().await?;
        let started = Instant::now();
        let guest = if round % 2 == 1 { "swapped_v2" } else { "swapped_v1" };
        ensure!(host.deploy_guest(guest, "").await?["outcome"] == "deployed");
        under_way.push((started, Instant::now()));
    }
    more_calls().await?;
    progress.is_over.store(true, Ordering::Relaxed);
    Ok(under_way)
}

#[tokio::test]
async fn no_call_fails_and_no_entry_is_lost_while_versions_are_swapped_under_load() -> anyhow::Result<()> {
    let host = Host::start(&swapped(ROUTE)).await?;
    let progress = Progress::default();
    let callers = (0..CONNECTIONS).map(|first| caller(&host.app, first, &progress));
    let callers = futures::future::try_join_all(callers);
    let (swaps, answered) =
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

    print(&answered, &swaps);
    Ok(())
}

/// Says what the callers noticed. Nothing is asserted: times are the machine's.
fn print(answered: &[Answered], swaps: &[(Instant, Instant)]) {
    let mut took = answered.iter().map(|call| call.took).collect::<Vec<_>>();
    took.sort();
    let at = |part: usize| took.get(took.len() * part / 1_000).copied().unwrap_or_default();
    let (median, count) = (at(500), answered.len());
    println!("{count} calls on {CONNECTIONS} connections: median {median:?}, 99.9 % within {:?}", at(999));
    let longest = |is_meant: &dyn Fn(&Answered) -> bool| {
        let longest = answered.iter().filter(|call| is_meant(call)).map(|call| call.took).max();
        longest.unwrap_or_default().saturating_sub(median)
    };
    let is_beside = |call: &Answered, (start, end): &(Instant, Instant)| {
        call.started < *end && call.started + call.took > *start
    };
    let (first, others) = swaps.split_at(1);
    println!(
        "longest wait beyond the median: {:?} beside the first swap, which compiles; {:?} beside the other {}; {:?} between them",
        longest(&|call| first.iter().any(|swap| is_beside(call, swap))),
        longest(&|call| others.iter().any(|swap| is_beside(call, swap))),
        others.len(),
        longest(&|call| !swaps.iter().any(|swap| is_beside(call, swap))),
    );
    let mut took = swaps.iter().map(|(start, end)| *end - *start).collect::<Vec<_>>();
    took.sort();
    println!("a deployment took {:?} (median), {:?} at most", took[took.len() / 2], took[took.len() - 1]);
}

//! The host's budget of memory: at the sizes of real attacks the host stays within it, serves everybody in the end, and gives
//! back what is not needed any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use daca_tests::{Host, Patience, TIMEOUT, eventually, exerciser, manifest_of, metrics};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use serde_json::json;

const MIB: u64 = 1024 * 1024;
const BUDGET: u64 = 384 * MIB;
/// What one turn may take: an instance of the largest limit, and twice what it writes.
const TURN: u64 = 48 * MIB;
/// What may grow unseen between two measurements, and what an allocator keeps.
const UNSEEN: u64 = 64 * MIB;
/// Who is refused is told to come again in a second. Only a failing test waits so long.
const PATIENCE: Patience =
    Patience::new(Duration::from_secs(4 * TIMEOUT.as_secs()), Duration::from_millis(200)).retrying_errors();

/// The resident memory of a process, in bytes.
fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}

/// Looks at the resident memory of a process all the time.
struct Watch {
    most: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
}

impl Watch {
    fn of(pid: u32) -> Watch {
        let watch = Watch { most: Arc::default(), ends: Arc::default() };
        let (most, ends) = (watch.most.clone(), watch.ends.clone());
        std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                most.fetch_max(resident(pid).unwrap_or_default(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        watch
    }

    /// The most since the last time.
    fn most(&self) -> u64 {
        self.most.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// A host with routes to two agent types: `/set/ID` writes state, and `/hold/ID` holds so many megabytes.
fn manifest(of_allocates: &str) -> String {
    let limits = "limits = { memory = \"32MiB\", state-value = \"4MiB\", running-time = \"20s\", turn-time = \"60s\" }";
    let allocates = format!("limits = {{ memory = \"8MiB\" }}\n{of_allocates}");
    let route = |path: &str, agent: &str, call: &str| {
        format!(
            "[[routes]]\nmethod = \"POST\"\npath = \"/{path}/{{id}}\"\nagent = \"{agent}\"\ncall = \"{call}\"\nactor-id = {{ path = \"id\" }}\n"
        )
    };
    [
        exerciser(limits),
        "\n".to_owned(),
        manifest_of("Allocates", "allocates", &allocates),
        format!("[host]\nmemory = \"{}MiB\"\n", BUDGET / MIB),
        route("set", "Exerciser", "SetState"),
        route("hold", "Allocates", "Hold"),
    ]
    .concat()
}

/// A body that many requests send without a copy for each.
fn shared(body: String) -> &'static str {
    Box::leak(body.into_boxed_str())
}

/// A body that has the state `k` set to this value. `more` is read and not used.
fn set(value: &str, more: &str) -> &'static str {
    shared(json!({"key": "k", "value": value, "more": more}).to_string())
}

/// Sends a request until it is served. Who is refused is told that it may come again.
async fn served(host: &Host, path: String, body: &'static str) -> anyhow::Result<()> {
    let once = async || {
        let answer = host.send(Method::POST, &path, body).await?;
        match answer.outcome() {
            // The exerciser replies with the errors of its imports.
            (200, None) => Ok(answer.body["error"].is_null()),
            (503, Some(_)) if answer.header("retry-after").is_some() => Ok(false),
            _ => bail!("{path}: {answer:?}"),
        }
    };
    PATIENCE.until(&path, once).await
}

/// Sends so many requests to so many actors, in turn.
async fn all_served(
    host: &Host,
    (requests, actors): (usize, usize),
    path: &str,
    body: &'static str,
) -> anyhow::Result<()> {
    let each = (0..requests).map(|n| served(host, format!("{path}{}", n % actors), body));
    stream::iter(each).buffer_unordered(100).try_collect::<Vec<()>>().await.map(drop)
}

/// Sends them to a new host, which serves them all and stays within its budget. Returns its metrics.
async fn metrics_after(load: (usize, usize), path: &str, body: &'static str) -> anyhow::Result<String> {
    let host = Host::start(&manifest("")).await?;
    let watch = Watch::of(host.pid());
    all_served(&host, load, path, body).await?;
    let most = watch.most();
    println!("{} requests of {path}: {} MiB", load.0, most / MIB);
    assert!(most < BUDGET + TURN + UNSEEN, "{} MiB resident", most / MIB);
    assert_eq!(host.get("/healthz").await?.status, 200);
    let page = host.get_admin("/metrics").await?.body;
    let page = page.as_str().unwrap_or_default();
    assert_eq!(metrics::sum(page, &["daca_memory_budget_bytes"], |_| true), BUDGET as f64);
    Ok(page.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_hundred_actors_that_hold_4_mb_stay_within_the_budget() -> anyhow::Result<()> {
    let page = metrics_after((700, 700), "/hold/", "4").await?;
    assert!(metrics::sum(&page, &["daca_memory_given_up_total"], |_| true) > 0.0, "{page}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn four_thousand_idle_actors_with_250_kb_of_state_stay_within_the_budget() -> anyhow::Result<()> {
    let page = metrics_after((4_000, 4_000), "/set/", set(&"x".repeat(250_000), "")).await?;
    assert!(metrics::sum(&page, &["daca_memory_given_up_total"], |_| true) > 0.0, "{page}");
    let caches = |line: &str| line.contains("kind=\"state-caches\"") && line.contains("Exerciser");
    assert!(metrics::sum(&page, &["daca_memory_bytes"], caches) > 0.0, "{page}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn four_hundred_bodies_of_4_mb_stay_within_the_budget() -> anyhow::Result<()> {
    metrics_after((400, 400), "/set/", set("", &"x".repeat(4_000_000))).await.map(drop)
}

/// Of a hundred actors: what they keep would otherwise take gigabytes of the disk.
#[tokio::test(flavor = "multi_thread")]
async fn four_hundred_commits_of_3_mb_stay_within_the_budget() -> anyhow::Result<()> {
    metrics_after((400, 100), "/set/", set(&"x".repeat(3_000_000), "")).await.map(drop)
}

#[tokio::test]
async fn memory_that_is_not_needed_goes_back_to_the_system() -> anyhow::Result<()> {
    const HELD: usize = 60;
    let host = Host::start(&manifest("idle-timeout = \"2s\"")).await?;
    served(&host, "/hold/first".to_owned(), "1").await?;
    let before = resident(host.pid())?;
    all_served(&host, (HELD, HELD), "/hold/", "4").await?;
    eventually("what the actors held is gone", async || {
        let now = resident(host.pid())?;
        Ok(now < before + HELD as u64 * MIB)
    })
    .await
}

//! One run: the work and the faults side by side, a quiet time in which all must come right, and the verdict.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use daca_tests::Patience;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::checker::{self, Violation};
use crate::cluster::Cluster;
use crate::collect::{collect, ledgers};
use crate::fault::host_name;
use crate::faults;
use crate::history::{History, What};
use crate::keeper;
use crate::plan::{self, Round};
use crate::report;
use crate::seen::Seen;
use crate::workload::{self, Workload};

/// How long the work goes on before the first fault.
const WARM_UP: Duration = Duration::from_secs(10);
/// How long after the last fault a host may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long what is still on its way may take: a dead host's effects leave within a minute, and the longest wait before
/// another try of one is as long.
const SETTLED_WITHIN: Duration = Duration::from_secs(240);
/// How often one looks meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Reading everything may fail while something comes right.
const READING: Patience = Patience::new(Duration::from_secs(120), Duration::from_secs(1)).retrying_errors();

/// What is asked of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) seed: u64,
    pub(crate) length: Duration,
}

/// Runs it, and answers what is wrong; nothing if all is as it was promised.
pub(crate) async fn run(
    order: Order,
    cluster: &Cluster,
    history: &History,
) -> anyhow::Result<Option<String>> {
    let release = cluster.hosts[0].sidecar.metadata().await?["runtimeVersion"].clone();
    let release = release.as_str().unwrap_or_default().to_owned();
    history.note(What::Began { seed: order.seed, hosts: cluster.hosts.len(), release });
    tokio::select! {
        ended = keeper::keep(cluster, history) => ended.map(|()| None),
        ended = keeper::observe(cluster, history) => ended.map(|()| None),
        verdict = Box::pin(script(order, cluster, history)) => verdict,
    }
}

async fn script(order: Order, cluster: &Cluster, history: &History) -> anyhow::Result<Option<String>> {
    let (end, over) = watch::channel(None);
    let workload = Workload::new(cluster, history, order.seed, over)?;
    let plan = plan::draw(order.seed, order.length, &cluster.ground());
    let count = plan.iter().map(|round| round.faults.len()).sum::<usize>();
    eprintln!("seed {}: {count} faults in {} rounds", order.seed, plan.len());
    let trouble = async {
        let unready = all_faults(&plan, cluster, history).await;
        // Also after an error, so that the work ends.
        end.send_replace(Some(Instant::now()));
        unready
    };
    let (worked, unready) = tokio::join!(workload::run(&workload), trouble);
    worked?;
    let unready = unready?;
    eprintln!("all faults are healed, and the work is over: waiting for what is on its way");
    let seen = settled(&workload, history).await;
    let mut seen = seen.with_context(|| format!("hosts that were not ready in time: {unready:?}"))?;
    seen.unready = unready;
    seen.swap_fault = workload::agree(&workload).await?;
    seen.without_ticks = without_ticks(&workload).await?;
    let (history, seed) = (history.read()?, order.seed);
    let violations = checker::check(&history, &seen);
    eprintln!("\n{}", report::summary(&history, &seen, &violations));
    Ok(report::failure(seed, &history, &seen, &violations))
}

/// The faults, one round after the other. Answers the hosts that are not ready in time afterwards.
async fn all_faults(plan: &[Round], cluster: &Cluster, history: &History) -> anyhow::Result<Vec<String>> {
    sleep(WARM_UP).await;
    let mut healed = Instant::now();
    for (number, round) in (1..).zip(plan) {
        let names = round.faults.iter().map(|planned| planned.fault.to_string()).collect::<Vec<_>>();
        eprintln!("{:>6} s  round {number}/{}: {}", history.now_ms() / 1000, plan.len(), names.join("; "));
        faults::run(round, cluster, history).await?;
        healed = Instant::now();
        sleep(round.pause).await;
    }
    loop {
        let ready = keeper::readiness(cluster).await?;
        if ready.iter().all(|is_ready| *is_ready) {
            eprintln!("all hosts are ready {:.1} s after the last fault", healed.elapsed().as_secs_f64());
            return Ok(Vec::new());
        }
        if healed.elapsed() > READY_WITHIN {
            let unready = ready.iter().enumerate().filter(|(_, is_ready)| !**is_ready);
            return Ok(unready.map(|(index, _)| host_name(index)).collect());
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Reads everything, again and again until nothing is missing that may still come, or until the time is up.
async fn settled(workload: &Workload<'_>, history: &History) -> anyhow::Result<Seen> {
    let records = history.read()?;
    let start = Instant::now();
    loop {
        let read = async || collect(workload).await.map(Some);
        let seen = READING.until_some("everything is read", read).await?;
        let is_on_its_way = |it: &Violation| it.known.is_none() && checker::may_come(it);
        let missing = checker::check(&records, &seen).into_iter().filter(is_on_its_way).count();
        if missing == 0 || start.elapsed() > SETTLED_WITHIN {
            eprintln!("after {:.0} s, {missing} things are missing", start.elapsed().as_secs_f64());
            return Ok(seen);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The actors whose lasting reminder does not fire within a minute.
async fn without_ticks(workload: &Workload<'_>) -> anyhow::Result<Vec<String>> {
    let read = async || ledgers(workload).await.map(Some);
    let before = READING.until_some("the ledgers are read", &read).await.context("before the ticks")?;
    let start = Instant::now();
    loop {
        sleep(LOOK_EVERY).await;
        let now = READING.until_some("the ledgers are read", &read).await?;
        let still = before.iter().zip(&now).filter(|(before, now)| now.ticks <= before.ticks);
        let still = still.map(|(before, _)| before.actor.clone()).collect::<Vec<_>>();
        if still.is_empty() || start.elapsed() > READY_WITHIN {
            return Ok(still);
        }
    }
}

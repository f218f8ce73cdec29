//! One run: the work and the faults side by side, a quiet time in which all must come right, and the verdict.

use std::time::Duration;

use anyhow::Context as _;
use daca_tests::Patience;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::checker::{self, Violation};
use crate::cluster::Cluster;
use crate::collect::{collect, ledgers};
use crate::fault::host_name;
use crate::faults;
use crate::history::{History, HistoryEvent};
use crate::keeper;
use crate::machine::Machine;
use crate::plan::{self, Extent, Round};
use crate::report;
use crate::seen::Seen;
use crate::table::Counts;
use crate::workload::{self, Workload};

/// How long the work goes on before the first fault.
const WARM_UP: Duration = Duration::from_secs(10);
/// How long after the last fault a host may take to be ready. This time and the next are of the clock of [`Machine`].
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long what is still on its way may take since something of it has come: a dead host's effects leave within a minute, and
/// the longest wait before another try of one is as long.
const SETTLED_WITHIN: Duration = Duration::from_secs(240);
/// How often one looks meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Reading everything may fail while something comes right, and takes its time on a starved machine.
const READING: Patience = Patience::new(Duration::from_secs(360), Duration::from_secs(1)).retrying_errors();

/// What is asked of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) seed: u64,
    pub(crate) extent: Extent,
}

/// What has come of a run.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) counts: Counts,
    /// What is wrong; nothing if all is as it was promised.
    pub(crate) failure: Option<String>,
}

/// Runs it.
pub(crate) async fn run(order: Order, cluster: &Cluster, history: &History) -> anyhow::Result<Verdict> {
    let release = cluster.hosts[0].sidecar.metadata().await?["runtimeVersion"].clone();
    let release = release.as_str().unwrap_or_default().to_owned();
    history.note(HistoryEvent::Began { seed: order.seed, hosts: cluster.hosts.len(), release });
    let machine = Machine::new();
    tokio::select! {
        ended = keeper::keep(cluster, history) => match ended? {},
        ended = keeper::observe(cluster, history) => match ended? {},
        ended = machine.measure(history) => match ended? {},
        verdict = Box::pin(script(order, cluster, history, &machine)) => verdict,
    }
}

async fn script(
    order: Order,
    cluster: &Cluster,
    history: &History,
    machine: &Machine,
) -> anyhow::Result<Verdict> {
    let (end, over) = watch::channel(None);
    let workload = Workload::new(cluster, history, machine, order.seed, over)?;
    let plan = plan::draw(order.seed, order.extent, &cluster.ground());
    let count = plan.iter().map(|round| round.faults.len()).sum::<usize>();
    eprintln!("seed {}: {count} faults in {} rounds", order.seed, plan.len());
    let trouble = async {
        let unready = all_faults(&plan, cluster, history, machine).await;
        // Also after an error, so that the work ends.
        end.send_replace(Some(machine.elapsed()));
        unready
    };
    let (worked, unready) = tokio::join!(workload::run(&workload), trouble);
    worked?;
    let unready = unready?;
    eprintln!("all faults are healed, and the work is over: waiting for what is on its way");
    let seen = settled(&workload, history, machine).await;
    let mut seen = seen.with_context(|| format!("hosts that were not ready in time: {unready:?}"))?;
    seen.unready = unready;
    seen.swap_fault = workload::agree(&workload).await?;
    seen.without_ticks = without_ticks(&workload, machine).await?;
    seen.write(&history.path().with_file_name("seen.json"))?;
    let (history, seed) = (history.read()?, order.seed);
    let mut violations = checker::check(&history, &seen);
    violations.extend(checker::bounds(&history, &seen, &violations));
    eprintln!("\n{}", report::summary(&history, &seen, &violations));
    let failure = report::failure(seed, &history, &violations);
    Ok(Verdict { counts: Counts::of(&history, &violations), failure })
}

/// The faults, one round after the other. Answers the hosts that are not ready in time afterwards.
async fn all_faults(
    plan: &[Round],
    cluster: &Cluster,
    history: &History,
    machine: &Machine,
) -> anyhow::Result<Vec<String>> {
    sleep(WARM_UP).await;
    let mut healed = machine.elapsed();
    for (number, round) in (1..).zip(plan) {
        let names = round.faults.iter().map(|planned| planned.fault.to_string()).collect::<Vec<_>>();
        eprintln!("{:>6} s  round {number}/{}: {}", history.now_ms() / 1000, plan.len(), names.join("; "));
        faults::run(round, cluster, history).await?;
        healed = machine.elapsed();
        sleep(round.pause).await;
    }
    loop {
        let ready = keeper::readiness(cluster).await?;
        let passed = machine.elapsed().saturating_sub(healed);
        if ready.iter().all(|is_ready| *is_ready) {
            eprintln!("all hosts are ready {:.1} s after the last fault", passed.as_secs_f64());
            return Ok(Vec::new());
        }
        if passed > READY_WITHIN {
            let unready = ready.iter().enumerate().filter(|(_, is_ready)| !**is_ready);
            return Ok(unready.map(|(index, _)| host_name(index)).collect());
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Reads everything, again and again until nothing is missing that may still come, or until nothing has come for long.
async fn settled(workload: &Workload<'_>, history: &History, machine: &Machine) -> anyhow::Result<Seen> {
    let records = history.read()?;
    let start = machine.elapsed();
    let (mut least, mut since) = (usize::MAX, start);
    loop {
        let read = async || collect(workload).await.map(Some);
        let seen = READING.until_some("everything is read", read).await?;
        let is_on_its_way = |it: &Violation| it.known.is_none() && checker::may_come(it);
        let missing = checker::check(&records, &seen).into_iter().filter(is_on_its_way).count();
        let now = machine.elapsed();
        if missing < least {
            (least, since) = (missing, now);
        }
        if missing == 0 || now.saturating_sub(since) > SETTLED_WITHIN {
            let passed = now.saturating_sub(start).as_secs_f64();
            eprintln!("after {passed:.0} s, {missing} things are missing");
            return Ok(seen);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The actors whose lasting reminder does not fire within a minute.
async fn without_ticks(workload: &Workload<'_>, machine: &Machine) -> anyhow::Result<Vec<String>> {
    let read = async || ledgers(workload).await.map(Some);
    let before = READING.until_some("the ledgers are read", &read).await.context("before the ticks")?;
    let start = machine.elapsed();
    loop {
        sleep(LOOK_EVERY).await;
        let now = READING.until_some("the ledgers are read", &read).await?;
        let still = before.iter().zip(&now).filter(|(before, now)| now.ticks <= before.ticks);
        let still = still.map(|(before, _)| before.actor.clone()).collect::<Vec<_>>();
        if still.is_empty() || machine.elapsed().saturating_sub(start) > READY_WITHIN {
            return Ok(still);
        }
    }
}

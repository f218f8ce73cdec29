//! `daca-chaos`: work on the real stack while its servers fail, and a checker of all that was promised. `cargo xtask chaos`
//! builds it and becomes it; `docs/contributing/testing.md` says what it promises.
//!
//! [`plan`] draws the faults, [`faults`] applies and heals them on the [`cluster`], [`workload`] goes on meanwhile, all of it
//! goes into the [`history`], and the [`checker`] compares that with what is [`seen`] at the end. [`run`] puts them together, and
//! [`machine`] says how much time is due to them. [`table`] has the runs of several seeds.

mod checker;
mod clock;
mod cluster;
mod collect;
mod disk;
mod fault;
mod faults;
mod history;
mod keeper;
mod machine;
mod manifest;
mod plan;
mod proxy;
mod report;
mod run;
mod seen;
mod table;
mod wire;
mod workload;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use daca_tests::folders;
use tokio::signal::unix::{SignalKind, signal};

use cluster::Cluster;
use history::History;
use plan::Extent;
use run::Verdict;

/// How long faults happen when nothing else is said.
const MINUTES: u64 = 5;

/// Works on the real servers while they fail, and checks everything that was promised.
#[derive(Parser)]
struct Arguments {
    /// How long faults happen, for each seed [default: 5]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=60))]
    minutes: Option<u64>,
    /// How many faults happen, over all seeds, or a few more
    #[arg(long, conflicts_with = "minutes", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    faults: Option<u32>,
    /// What the faults and the work are drawn from [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Several seeds, one after the other, with a table at the end: FROM-TO
    #[arg(long, conflicts_with = "seed", value_parser = seeds)]
    seeds: Option<RangeInclusive<u64>>,
    /// How many hosts, each with its own sidecar
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    hosts: u8,
}

/// Reads `FROM-TO`.
fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    const MAX_SEEDS: u64 = 1_000;
    let range = text.split_once('-').and_then(|(from, to)| Some(from.parse().ok()?..=to.parse().ok()?));
    let is_usable =
        |range: &RangeInclusive<u64>| !range.is_empty() && range.end() - range.start() < MAX_SEEDS;
    range.filter(is_usable).ok_or_else(|| format!("two numbers such as 1-10, of at most {MAX_SEEDS} seeds"))
}

impl Arguments {
    /// The share of one of so many seeds.
    fn extent(&self, seeds: u64) -> Extent {
        match self.faults {
            Some(faults) => {
                let share = u64::from(faults).div_ceil(seeds.max(1));
                Extent::Faults(usize::try_from(share).unwrap_or(usize::MAX))
            }
            None => Extent::Time(Duration::from_secs(60 * self.minutes.unwrap_or(MINUTES))),
        }
    }
}

fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(failure)) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> anyhow::Result<Option<String>> {
    // Before signals are caught, so that Ctrl-C ends a build.
    daca_stack::build::all()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(until_interrupted(arguments))
}

async fn until_interrupted(arguments: &Arguments) -> anyhow::Result<Option<String>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // What is dropped here ends its servers, and unmounts their disks.
    tokio::select! {
        result = Box::pin(all(arguments)) => result,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("interrupted"),
    }
}

/// Runs what was asked for. Answers what is wrong, if something is.
async fn all(arguments: &Arguments) -> anyhow::Result<Option<String>> {
    let Some(seeds) = &arguments.seeds else {
        let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
        return Ok(once(seed, arguments.extent(1), arguments.hosts).await?.failure);
    };
    let extent = arguments.extent(seeds.end() - seeds.start() + 1);
    let (mut runs, mut failed) = (Vec::new(), Vec::new());
    for seed in seeds.clone() {
        let run = Box::pin(once(seed, extent, arguments.hosts)).await;
        let failure = match &run {
            Ok(verdict) => verdict.failure.clone(),
            Err(error) => Some(format!("error: {error:#}")),
        };
        if let Some(failure) = failure {
            eprintln!("{failure}");
            failed.push(seed.to_string());
        }
        runs.push((seed, run.map(|verdict| verdict.counts).map_err(|error| format!("{error:#}"))));
    }
    println!("{}", table::table(&runs));
    Ok((!failed.is_empty()).then(|| format!("seeds that failed: {}", failed.join(", "))))
}

async fn once(seed: u64, extent: Extent, hosts: u8) -> anyhow::Result<Verdict> {
    let folder = Folder::create(seed)?;
    eprintln!("seed {seed}: starting the servers and {hosts} hosts in {}", folder.0.display());
    let history = History::create(&folder.0.join("history.jsonl"))?;
    let cluster = Box::pin(Cluster::start(&folder.0, usize::from(hosts))).await?;
    for left_out in &cluster.left_out {
        eprintln!("\nwarning: LEFT OUT: {left_out}\n");
    }
    let result = Box::pin(run::run(run::Order { seed, extent }, &cluster, &history)).await;
    let left_out = cluster.left_out.clone();
    drop(cluster);
    for left_out in left_out {
        eprintln!("warning: LEFT OUT: {left_out}");
    }
    if matches!(result, Ok(Verdict { failure: None, .. })) {
        eprintln!("seed {seed}: everything is as it was promised");
        folder.remove()?;
    } else {
        let path = history.path().display();
        eprintln!("seed {seed}: logs are in {}, the history is {path}", folder.0.display());
        let length = match extent {
            Extent::Time(length) => format!("--minutes {}", length.as_secs() / 60),
            Extent::Faults(faults) => format!("--faults {faults}"),
        };
        eprintln!("again: cargo xtask chaos {length} --seed {seed} --hosts {hosts}\n");
    }
    result
}

/// The folder of a run. It stays when something is wrong.
struct Folder(PathBuf);

impl Folder {
    fn create(seed: u64) -> anyhow::Result<Folder> {
        let all = folders::target().join("chaos");
        disk::unmount_left(&all)?;
        let path = all.join(format!("{seed}-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Folder(path))
    }

    fn remove(self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(&self.0).with_context(|| format!("removing {}", self.0.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_shared_by_the_seeds() {
        let arguments = |line: &str| Arguments::try_parse_from(line.split(' '));
        let many = arguments("chaos --seeds 1-10 --faults 205").expect("it is understood");
        assert_eq!(many.seeds, Some(1..=10));
        assert_eq!(many.extent(10), Extent::Faults(21));
        let one = arguments("chaos --seed 7").expect("it is understood");
        assert_eq!(one.extent(1), Extent::Time(Duration::from_secs(300)));
        for wrong in ["--seeds 10-1", "--seeds 7", "--seeds 1-9999", "--seeds 1-2 --seed 1", "--faults 0"] {
            assert!(arguments(&format!("chaos {wrong}")).is_err(), "{wrong}");
        }
    }
}

//! `daca-chaos`: work on the real stack while its servers fail, and a checker of all that was promised. `cargo xtask chaos`
//! builds it and becomes it; `docs/contributing/testing.md` says what it promises.
//!
//! [`plan`] draws the faults, [`faults`] applies and heals them on the [`cluster`], [`workload`] goes on meanwhile, all of it
//! goes into the [`history`], and the [`checker`] compares that with what is [`seen`] at the end. [`run`] puts them together.

mod checker;
mod clock;
mod cluster;
mod collect;
mod disk;
mod fault;
mod faults;
mod history;
mod keeper;
mod manifest;
mod plan;
mod proxy;
mod report;
mod run;
mod seen;
mod wire;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use daca_tests::folders;
use tokio::signal::unix::{SignalKind, signal};

use cluster::Cluster;
use history::History;

/// Works on the real servers while they fail, and checks everything that was promised.
#[derive(Parser)]
struct Arguments {
    /// How long faults happen
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    minutes: u64,
    /// What the faults and the work are drawn from [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// How many hosts, each with its own sidecar
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    hosts: u8,
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
        result = Box::pin(once(arguments)) => result,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("interrupted"),
    }
}

async fn once(arguments: &Arguments) -> anyhow::Result<Option<String>> {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let folder = Folder::create(seed)?;
    eprintln!("seed {seed}: starting the servers and {} hosts in {}", arguments.hosts, folder.0.display());
    let history = History::create(&folder.0.join("history.jsonl"))?;
    let hosts = usize::from(arguments.hosts);
    let cluster = Box::pin(Cluster::start(&folder.0, hosts)).await?;
    for left_out in &cluster.left_out {
        eprintln!("\nwarning: LEFT OUT: {left_out}\n");
    }
    let order = run::Order { seed, length: Duration::from_secs(60 * arguments.minutes) };
    let result = Box::pin(run::run(order, &cluster, &history)).await;
    let left_out = cluster.left_out.clone();
    drop(cluster);
    for left_out in left_out {
        eprintln!("warning: LEFT OUT: {left_out}");
    }
    if let Ok(None) = result {
        eprintln!("seed {seed}: everything is as it was promised");
        folder.remove()?;
    } else {
        let path = history.path().display();
        let minutes = arguments.minutes;
        eprintln!("seed {seed}: logs are in {}, the history is {path}", folder.0.display());
        eprintln!("again: cargo xtask chaos --minutes {minutes} --seed {seed} --hosts {hosts}\n");
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

//! Measures the host beside what people would use instead, in one run, on one machine, with the same servers.
//!
//! Figures of different runs say little: machines are shared and noisy. So every measure runs the host and its peer in the
//! same run, in turn, and what counts is the ratio. [`load`] asks, [`process`] reads what a process costs, [`server`] starts
//! what is measured without a sidecar and [`peers`] what stands beside one; [`report`] keeps what was measured. Each measure
//! is a module of its own: [`in_process`], [`embedded`], [`sidecar`], [`actors`], [`swap`], [`start`].

mod actors;
mod embedded;
mod in_process;
mod load;
mod machine;
mod peers;
mod process;
mod report;
mod server;
mod sidecar;
mod start;
mod swap;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use report::Measure;

/// Measures the host beside what people would use instead.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Arguments {
    /// What to measure; everything by default
    #[arg(value_enum)]
    measures: Vec<Name>,
    /// Shorter loads and fewer of them: to see that it works, not to read the figures
    #[arg(long)]
    quick: bool,
    /// Write what was measured to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write tables and charts into docs/performance.md; measures that are not run now stay as they are
    #[arg(long)]
    write: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// A turn in memory, in the component and natively
    Turn,
    /// A new instance and its first message, by the host and by bare wasmtime
    Activation,
    /// HTTP on the embedded backend, against native logic on the same store
    Embedded,
    /// HTTP and Kafka behind a sidecar, against apps in Go and Python
    Sidecar,
    /// Thousands of active actors
    Actors,
    /// A swap under load
    Swap,
    /// From the start of the process to its first answer
    Start,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Extent {
    quick: bool,
}

impl Extent {
    /// How long a load runs that takes so many seconds in a full run.
    fn seconds(self, full: f64) -> Duration {
        Duration::from_secs_f64(if self.quick { full / 4.0 } else { full })
    }

    /// How often something is done that is done so often in a full run.
    fn times(self, full: usize) -> usize {
        if self.quick { full.div_ceil(4) } else { full }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let extent = Extent { quick: arguments.quick };
    let mut names = arguments.measures.clone();
    if names.is_empty() {
        names.extend_from_slice(Name::value_variants());
    }
    let mut measures = Vec::new();
    for name in Name::value_variants().iter().filter(|name| names.contains(name)) {
        let measure = Box::pin(measure(*name, extent)).await?;
        println!("{}", report::table::of(&measure));
        measures.push(measure);
    }
    let report = report::Report { machine: machine::Machine::read()?, measures };
    if let Some(path) = &arguments.json {
        report.write_json(path)?;
    }
    if arguments.write {
        report::page::write(&report)?;
    }
    report.summarise();
    Ok(())
}

async fn measure(name: Name, extent: Extent) -> anyhow::Result<Measure> {
    match name {
        Name::Turn => in_process::turn(extent).await,
        Name::Activation => in_process::activation(extent).await,
        Name::Embedded => embedded::measure(extent).await,
        Name::Sidecar => sidecar::measure(extent).await,
        Name::Actors => actors::measure(extent).await,
        Name::Swap => swap::measure(extent).await,
        Name::Start => start::measure(extent).await,
    }
}

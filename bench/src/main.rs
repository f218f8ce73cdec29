//! Measures the host beside what people would use instead, in one run, on one machine, with the same servers.
//!
//! Figures of different runs say little: machines are shared and noisy. So every measure runs the host and its peer in the
//! same run, in turn, and what counts is the ratio. [`load`] asks, [`process`] reads what a process costs, [`server`] starts
//! what is measured without a sidecar and [`peers`] what stands beside one; [`report`] keeps what was measured. Each measure
//! is a module of its own: [`in_process`], [`embedded`], [`sidecar`], [`actors`], [`swap`], [`neighbours`],
//! [`start`], [`languages`].

mod actors;
mod embedded;
mod extent;
mod in_process;
mod languages;
mod load;
mod machine;
mod neighbours;
mod peers;
mod process;
mod report;
mod server;
mod sidecar;
mod start;
mod swap;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use extent::Extent;
use report::Measure;

/// Measures the host beside what people would use instead.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Arguments {
    /// What to measure; everything by default
    #[arg(value_enum)]
    measures: Vec<MeasureName>,
    /// Shorter loads and fewer of them: to see that it works, not to read the figures
    #[arg(long)]
    quick: bool,
    /// Write what was measured to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write tables and charts into the book; measures that are not run now stay as they are
    #[arg(long)]
    write: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MeasureName {
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
    /// A neighbour of agents that take all they can get
    Neighbours,
    /// From the start of the process to its first answer
    Start,
    /// The ChatAgent in each language: its file, deployment, activation, memory and calls
    Languages,
    /// What scripts in Python would cost, if the host had an engine for them
    PythonEngine,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let extent = Extent::new(arguments.quick);
    let mut names = arguments.measures.clone();
    if names.is_empty() {
        names.extend_from_slice(MeasureName::value_variants());
    }
    // Before others are measured for minutes in vain.
    names.iter().try_for_each(|name| check_built(*name))?;
    let mut measures = Vec::new();
    for name in MeasureName::value_variants().iter().filter(|name| names.contains(name)) {
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

async fn measure(name: MeasureName, extent: Extent) -> anyhow::Result<Measure> {
    match name {
        MeasureName::Turn => in_process::turn(extent).await,
        MeasureName::Activation => in_process::activation(extent).await,
        MeasureName::Embedded => embedded::measure(extent).await,
        MeasureName::Sidecar => sidecar::measure(extent).await,
        MeasureName::Actors => actors::measure(extent).await,
        MeasureName::Swap => swap::measure(extent).await,
        MeasureName::Neighbours => neighbours::measure(extent).await,
        MeasureName::Start => start::measure(extent).await,
        MeasureName::Languages => languages::measure(extent).await,
        MeasureName::PythonEngine => languages::python_engine::measure(extent).await,
    }
}

/// An error if an agent is missing that is not built by every `cargo xtask bench`.
fn check_built(name: MeasureName) -> anyhow::Result<()> {
    match name {
        MeasureName::Languages => languages::check_built(),
        MeasureName::PythonEngine => languages::python_engine::check_built(),
        _ => Ok(()),
    }
}

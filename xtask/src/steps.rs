//! Steps: what a command does one after the other, said aloud and timed.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::cargo::Cargo;
use crate::toolchain::Part;

/// One step of a command.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    name: &'static str,
    work: Work,
}

#[derive(Debug, Clone)]
enum Work {
    Toolchain(Vec<Part>),
    Cargo(Cargo),
}

impl Step {
    /// Makes sure of parts of the toolchain.
    pub(crate) fn toolchain(parts: &[Part]) -> Step {
        Step { name: "toolchain", work: Work::Toolchain(parts.to_vec()) }
    }

    /// Runs cargo.
    pub(crate) fn cargo(name: &'static str, cargo: Cargo) -> Step {
        Step { name, work: Work::Cargo(cargo) }
    }

    fn run(&self) -> anyhow::Result<()> {
        match &self.work {
            Work::Toolchain(parts) => parts.iter().try_for_each(|part| part.provide()),
            Work::Cargo(cargo) => cargo.run(),
        }
    }

    /// What is wrong, with the way to repeat the step alone.
    fn failure(&self, error: &anyhow::Error) -> String {
        match &self.work {
            Work::Toolchain(_) => format!("the step \"{}\" failed: {error:#}", self.name),
            Work::Cargo(cargo) => {
                format!("the step \"{}\" failed\n  help: repeat it alone with: {cargo}", self.name)
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match &self.work {
            Work::Toolchain(parts) => {
                let parts = parts.iter().map(Part::to_string).collect::<Vec<_>>();
                f.write_str(&parts.join(", "))
            }
            Work::Cargo(cargo) => write!(f, "{cargo}"),
        }
    }
}

/// Runs steps until one fails. Answers how long each took.
pub(crate) fn run(steps: &[Step]) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(steps.len());
    for (number, step) in (1..).zip(steps) {
        let place = format!("[{number}/{}]", steps.len());
        eprintln!("{place} {step}");
        let start = Instant::now();
        if let Err(error) = step.run() {
            bail!("{place} {}", step.failure(&error));
        }
        times.push(start.elapsed());
        eprintln!("{place} {}: {:.1} s\n", step.name, start.elapsed().as_secs_f64());
    }
    Ok(times)
}

/// Prints how long the steps took.
pub(crate) fn summarise(steps: &[Step], times: &[Duration]) {
    eprintln!("{:<20} {:>8}", "step", "seconds");
    for (step, time) in steps.iter().zip(times) {
        eprintln!("{:<20} {:>8.1}", step.name, time.as_secs_f64());
    }
    eprintln!("{:<20} {:>8.1}", "all", times.iter().sum::<Duration>().as_secs_f64());
}

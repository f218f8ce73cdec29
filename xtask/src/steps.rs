//! Steps: what a command does one after the other, said aloud and timed.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::cargo::{Cargo, root};
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
    /// A program with its arguments.
    Program(Vec<String>),
    /// The same, not waited for; what goes wrong with it is for a later step to say.
    Background(Vec<String>),
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

    /// Runs a program, given with its arguments.
    pub(crate) fn program(name: &'static str, line: Vec<String>) -> Step {
        Step { name, work: Work::Program(line) }
    }

    /// Starts a program, given with its arguments, and goes on.
    pub(crate) fn background(name: &'static str, line: Vec<String>) -> Step {
        Step { name, work: Work::Background(line) }
    }

    fn run(&self) -> anyhow::Result<()> {
        match &self.work {
            Work::Toolchain(parts) => parts.iter().try_for_each(|part| part.provide()),
            Work::Cargo(cargo) => cargo.run(),
            Work::Program(line) => run_program(line),
            Work::Background(line) => {
                let mut command = command(line)?;
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                command.spawn().with_context(|| format!("{} could not be started", line.join(" ")))?;
                Ok(())
            }
        }
    }

    /// What is wrong, with the way to repeat the step alone.
    fn failure(&self, error: &anyhow::Error) -> String {
        match &self.work {
            Work::Toolchain(_) | Work::Background(_) => {
                format!("the step \"{}\" failed: {error:#}", self.name)
            }
            Work::Program(line) => {
                format!("the step \"{}\" failed\n  help: repeat it alone with: {}", self.name, line.join(" "))
            }
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
            Work::Program(line) => f.write_str(&line.join(" ")),
            Work::Background(line) => write!(f, "{} &", line.join(" ")),
        }
    }
}

fn run_program(line: &[String]) -> anyhow::Result<()> {
    let status =
        command(line)?.status().with_context(|| format!("{} could not be started", line.join(" ")))?;
    if !status.success() {
        bail!("{}: {status}", line.join(" "));
    }
    Ok(())
}

fn command(line: &[String]) -> anyhow::Result<Command> {
    let (program, arguments) = line.split_first().context("a command line has a program")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    Ok(command)
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

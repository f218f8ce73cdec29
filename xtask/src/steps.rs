//! Steps: what a command does one after the other, said aloud and timed.
//!
//! A step may leave something out that it cannot do here. Its warnings are repeated at the end, since nobody reads what scrolls
//! by before the tests.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};

use crate::cargo::Cargo;
use crate::paths::root;
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
    /// A function of this program, and the command that runs it alone.
    Check(Check, &'static str),
}

/// What a check looks at is for it to know.
type Check = fn() -> anyhow::Result<Warnings>;

/// What was left out, and why.
pub(crate) type Warnings = Vec<String>;

/// How a step went that did not fail.
pub(crate) struct StepDone {
    time: Duration,
    warnings: Warnings,
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

    /// Runs a check, which `line` runs alone.
    pub(crate) fn check(name: &'static str, line: &'static str, check: Check) -> Step {
        Step { name, work: Work::Check(check, line) }
    }

    fn run(&self) -> anyhow::Result<Warnings> {
        match &self.work {
            Work::Toolchain(parts) => parts.iter().try_for_each(|part| part.provide())?,
            Work::Cargo(cargo) => cargo.run()?,
            Work::Program(line) => run_program(line)?,
            Work::Background(line) => {
                let mut command = command(line)?;
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                command.spawn().with_context(|| format!("{} could not be started", line.join(" ")))?;
            }
            Work::Check(check, _) => return check(),
        }
        Ok(Warnings::new())
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
            Work::Check(_, line) => {
                format!("the step \"{}\" failed: {error:#}\n  help: repeat it alone with: {line}", self.name)
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
            Work::Check(_, line) => f.write_str(line),
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

/// Runs steps until one fails. Answers how each went.
pub(crate) fn run(steps: &[Step]) -> anyhow::Result<Vec<StepDone>> {
    let mut done = Vec::with_capacity(steps.len());
    for (number, step) in (1..).zip(steps) {
        let place = format!("[{number}/{}]", steps.len());
        eprintln!("{place} {step}");
        let start = Instant::now();
        let warnings = step.run().map_err(|error| anyhow!("{place} {}", step.failure(&error)))?;
        warn(&warnings);
        let time = start.elapsed();
        eprintln!("{place} {}: {:.1} s\n", step.name, time.as_secs_f64());
        done.push(StepDone { time, warnings });
    }
    Ok(done)
}

/// Says aloud what is left out.
pub(crate) fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

/// Prints how long the steps took, and what they have left out.
pub(crate) fn summarise(steps: &[Step], done: &[StepDone]) {
    eprintln!("{:<20} {:>8}", "step", "seconds");
    for (step, done) in steps.iter().zip(done) {
        eprintln!("{:<20} {:>8.1}", step.name, done.time.as_secs_f64());
    }
    let all = done.iter().map(|done| done.time).sum::<Duration>();
    eprintln!("{:<20} {:>8.1}", "all", all.as_secs_f64());
    if done.iter().any(|done| !done.warnings.is_empty()) {
        eprintln!();
    }
    done.iter().for_each(|done| warn(&done.warnings));
}

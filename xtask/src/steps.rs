//! Steps: each is announced, timed, and named when it fails.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// The steps of a command, in their order.
pub(crate) struct Steps {
    total: usize,
    done: Vec<(&'static str, Duration)>,
}

impl Steps {
    pub(crate) fn new(total: usize) -> Steps {
        Steps { total, done: Vec::new() }
    }

    /// Runs the next step. The error names it.
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        println!("[{}/{}] {name}", self.done.len() + 1, self.total);
        let started = Instant::now();
        step().with_context(|| format!("the step {name:?} failed"))?;
        self.done.push((name, started.elapsed()));
        Ok(())
    }

    /// Says how long each step took.
    pub(crate) fn summary(&self) {
        println!("\nAll is well:");
        for (name, time) in &self.done {
            println!("{:>7.1} s  {name}", time.as_secs_f64());
        }
    }
}

/// Runs cargo, whose progress is shown as it is.
pub(crate) fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    run_command(&cargo_program(), arguments)
}

/// Runs cargo with a variable of the environment set.
pub(crate) fn cargo_with(name: &str, value: &str, arguments: &[&str]) -> anyhow::Result<()> {
    finish(Command::new(cargo_program()).env(name, value).args(arguments))
}

/// Runs a program to its end.
pub(crate) fn run_command(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    finish(Command::new(program).args(arguments))
}

fn cargo_program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn finish(command: &mut Command) -> anyhow::Result<()> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
    let status = command.status().with_context(|| format!("running {line}"))?;
    if !status.success() {
        bail!("{status}; to repeat it: {line}");
    }
    Ok(())
}

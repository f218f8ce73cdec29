//! Runs of cargo, each written as one would type it.
//!
//! All of them build in the workspace's own `target`, whatever `CARGO_TARGET_DIR` says: `agents.toml` names the ChatAgent's
//! component there.

use std::ffi::OsStr;
use std::fmt;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::paths::{self, root, target, variable};

/// One run of cargo.
#[derive(Debug, Clone)]
pub(crate) struct Cargo {
    arguments: Vec<String>,
    /// Variables of the environment that this run adds.
    variables: Vec<(&'static str, String)>,
}

impl Cargo {
    /// From its arguments, with spaces between them.
    pub(crate) fn new(line: &str) -> Cargo {
        Cargo { arguments: line.split_whitespace().map(str::to_owned).collect(), variables: Vec::new() }
    }

    /// Adds arguments, which may have spaces in them.
    pub(crate) fn arguments(mut self, more: &[String]) -> Cargo {
        self.arguments.extend_from_slice(more);
        self
    }

    /// Adds a variable of the environment.
    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<String>) -> Cargo {
        self.variables.push((name, value.into()));
        self
    }

    /// Has Clippy's compiler compile the workspace's own packages: it makes the same as the compiler, and lints it. A warning is
    /// an error. Cargo keeps what it makes apart from what the compiler alone makes, so all runs that are to share must be
    /// linted. `cargo clippy` sets the same two variables.
    pub(crate) fn linted(self) -> Cargo {
        let end = "__CLIPPY_HACKERY__";
        self.variable("RUSTC_WORKSPACE_WRAPPER", paths::program("clippy-driver").display().to_string())
            .variable("CLIPPY_ARGS", format!("-D{end}warnings{end}"))
    }

    /// Runs it in the workspace's folder, with its output where ours goes.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let status = self.command().status().with_context(|| format!("{self} could not be started"))?;
        if !status.success() {
            bail!("{self}: {status}");
        }
        Ok(())
    }

    /// Does it end well? What it prints is not shown.
    pub(crate) fn works(&self) -> anyhow::Result<bool> {
        let output = self.command().output().with_context(|| format!("{self} could not be started"))?;
        Ok(output.status.success())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(variable("CARGO", "cargo"));
        prepare(&mut command);
        command.args(&self.arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Lets a command run in the workspace's folder, so that each cargo within it builds there as if typed by hand.
pub(crate) fn prepare(command: &mut Command) {
    // What `cargo run` has set for this program would make build scripts run again that look at their own.
    let ours = std::env::vars_os().map(|(name, _)| name);
    let ours = ours.filter(|name| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|it| is_prefix(it, name)));
    for name in ours {
        command.env_remove(name);
    }
    command.current_dir(root()).env("CARGO_TARGET_DIR", target());
}

fn is_prefix(prefix: &str, name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(prefix.as_bytes())
}

/// A line that can be pasted into a shell.
impl fmt::Display for Cargo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.variables {
            // In this form the shell reads the separator of cargo's flags, too.
            write!(f, "{name}=$'{}' ", value.replace('\u{1f}', "\\x1f"))?;
        }
        write!(f, "cargo")?;
        for argument in &self.arguments {
            if argument.contains(char::is_whitespace) {
                write!(f, " '{argument}'")?;
            } else {
                write!(f, " {argument}")?;
            }
        }
        Ok(())
    }
}

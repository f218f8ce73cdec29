//! Programs that make or install what the servers need: one run of each, silent unless it fails.

use std::io::Write as _;
use std::process::Command;

use anyhow::{Context as _, bail};

/// Runs a program that has much to say, none of which matters unless it fails.
pub(crate) fn run(mut command: Command, what: &str, help: &str) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{what}: could not be started"))?;
    if !output.status.success() {
        std::io::stderr().write_all(&[output.stdout, output.stderr].concat())?;
        bail!("{what} failed ({}); its message is above\n  help: {help}", output.status);
    }
    Ok(())
}

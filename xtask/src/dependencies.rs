//! `cargo xtask dependencies`: what dependencies bring, by the rules of `deny.toml`, and whether each is used.
//!
//! cargo-deny looks at licences, sources, versions and advisories. Of those only the advisories need the network each time, so
//! a machine without it leaves them out, and says so. cargo-shear looks for dependencies that no source file names. It was taken
//! rather than cargo-machete because it reads Rust where that searches text, and finds dependencies in the wrong table and in
//! the workspace's list, too.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::cargo;
use crate::language_tools;
use crate::steps::Warnings;
use crate::tools;

/// Seconds after which fetching the advisories is given up.
const FETCHING: &str = "60";

/// What to do about a rule that is broken.
const DENIED: &str = "a dependency breaks a rule of deny.toml, as cargo-deny says above: take another one or another version, or change the rule and give the reason there";
/// What to do about a dependency that no source names.
const UNUSED: &str = "dependencies are unused or in the wrong table, as cargo-shear says above: change the Cargo.toml that it names; one that is wanted all the same goes, with the reason, into its [package.metadata.cargo-shear]";

/// Fails when a rule is broken. A program that is not to be had is a warning, and in CI an error.
pub(crate) fn check() -> anyhow::Result<Warnings> {
    let mut warnings = Warnings::new();
    match tools::provide("cargo-deny") {
        Ok(deny) => warnings.extend(rules(&deny)?),
        Err(error) => {
            let warning = left_out("LICENCES, SOURCES AND ADVISORIES OF DEPENDENCIES", &error);
            warnings.push(language_tools::left_out(warning)?);
        }
    }
    match tools::provide("cargo-shear") {
        Ok(shear) => uses(&shear)?,
        Err(error) => warnings.push(language_tools::left_out(left_out("UNUSED DEPENDENCIES", &error))?),
    }
    Ok(warnings)
}

fn left_out(what: &str, error: &anyhow::Error) -> String {
    format!("{what} WERE NOT CHECKED: {error:#}")
}

/// Checks the rules. Answers a warning when the advisories could not be fetched, in CI too: a network that is away for
/// a moment says nothing of the dependencies, and all other rules are checked without it.
fn rules(deny: &Path) -> anyhow::Result<Option<String>> {
    run(deny, &["check", "bans", "licenses", "sources"], DENIED)?;
    if let Err(error) = fetch_advisories(deny) {
        return Ok(Some(left_out("ADVISORIES OF DEPENDENCIES", &error)));
    }
    run(deny, &["check", "advisories"], DENIED)?;
    Ok(None)
}

fn uses(shear: &Path) -> anyhow::Result<()> {
    run(shear, &["--deny-warnings"], UNUSED)
}

/// `timeout` ends git, too, which cargo-deny has fetch them.
fn fetch_advisories(deny: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("timeout");
    cargo::prepare(&mut command);
    command.arg(FETCHING).arg(deny).args(["fetch", "db"]).env("GIT_TERMINAL_PROMPT", "0");
    tools::run_quietly(command, "they could not be fetched")
}

/// Runs a program whose output is for people.
fn run(program: &Path, arguments: &[&str], failure: &'static str) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    cargo::prepare(&mut command);
    let status = command.args(arguments).status().with_context(|| program.display().to_string())?;
    if !status.success() {
        bail!(failure);
    }
    Ok(())
}

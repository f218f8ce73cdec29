//! `cargo xtask previous`: the host of the release before, with which the tests of a rollout run hosts of this one
//! (`tests/stack/suite/rollout.rs`).
//!
//! `tests/stack/previous-release` names its commit, whose sources come out of the repository. Their dependencies are for the
//! most part those of this release, and are not compiled a second time: the files in between go where those of this workspace
//! are (`build.build-dir`), and the run names the [same packages](crate::packages). Only the program lies apart, and is made
//! once.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use crate::cargo::Cargo;
use crate::packages;
use crate::paths::{root, target};
use crate::steps::{Step, Warnings};

/// The file with the full id of the commit.
const COMMIT_FILE: &str = "tests/stack/previous-release";

/// In CI the repository may belong to another user than the one who runs the tests.
const ANY_OWNER: [&str; 2] = ["-c", "safe.directory=*"];

/// Seconds after which fetching the commit is given up.
const FETCHING: &str = "120";

/// The step that makes sure of the program. After this release's own host, whose dependencies it takes.
pub(crate) fn step() -> Step {
    Step::check("previous release", "cargo xtask previous", build)
}

/// Builds the program, unless it is there. Without the commit the tests are skipped, which a warning says. It is an error in CI
/// if the clone has the whole history: then the name of the commit is wrong.
pub(crate) fn build() -> anyhow::Result<Warnings> {
    let commit = commit()?;
    let folder = target().join("previous").join(&commit);
    if folder.join("out/debug/daca").is_file() {
        return Ok(Warnings::new());
    }
    if let Err(error) = provide(&commit) {
        if std::env::var_os("CI").is_some() && has_whole_history() {
            return Err(error);
        }
        let warning = format!("THE TESTS OF A ROLLOUT WILL BE SKIPPED: {error:#}");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("unavailable"), &warning)?;
        return Ok(vec![warning]);
    }
    let sources = folder.join("sources");
    extract(&commit, &sources)?;
    compile(&folder, &sources)?;
    Ok(Warnings::new())
}

fn commit() -> anyhow::Result<String> {
    let text = std::fs::read_to_string(root().join(COMMIT_FILE)).context(COMMIT_FILE)?;
    let commit = text.trim();
    let is_id = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure!(is_id, "{COMMIT_FILE} has {commit:?}, which is not the full id of a commit");
    Ok(commit.to_owned())
}

/// Makes sure that the repository has the commit. A shallow clone may lack it, and fetches it alone.
fn provide(commit: &str) -> anyhow::Result<()> {
    if has(commit)? {
        return Ok(());
    }
    let is_shallow = !has_whole_history();
    let mut fetch = Command::new("timeout");
    fetch.args([FETCHING, "git"]).args(ANY_OWNER).args(["fetch", "--quiet", "--no-tags"]);
    // Of a whole clone it would make a shallow one.
    if is_shallow {
        fetch.arg("--depth=1");
    }
    fetch.args(["origin", commit]).current_dir(root()).env("GIT_TERMINAL_PROMPT", "0");
    let fetched = output(fetch);
    if has(commit)? {
        return Ok(());
    }
    let reason = match fetched {
        Ok(_) => "fetching it brought nothing".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    bail!(
        "the commit {commit}, which {COMMIT_FILE} names as the release before, is not in this clone, and could not be fetched: {reason}\n  help: clone the whole history (actions/checkout: fetch-depth: 0), or run: git fetch --unshallow"
    )
}

/// Whether this is a clone, and not a shallow one.
fn has_whole_history() -> bool {
    output(git(&["rev-parse", "--is-shallow-repository"])).is_ok_and(|answer| answer.trim() == "false")
}

fn has(commit: &str) -> anyhow::Result<bool> {
    let found = git(&["cat-file", "-e", &format!("{commit}^{{commit}}")]).output();
    Ok(found.context("git could not be started")?.status.success())
}

fn git(arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(ANY_OWNER).args(arguments).current_dir(root());
    command
}

fn output(mut command: Command) -> anyhow::Result<String> {
    let output = command.output().context("git could not be started")?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes the sources of the commit into a folder, which is whole if it is there.
fn extract(commit: &str, sources: &Path) -> anyhow::Result<()> {
    if sources.is_dir() {
        return Ok(());
    }
    let unfinished = sources.with_extension("unfinished");
    // Of a run that was cut off.
    std::fs::remove_dir_all(&unfinished).ok();
    std::fs::create_dir_all(&unfinished)?;
    let mut archive = git(&["archive", "--format=tar", commit]);
    let mut archive = archive.stdout(Stdio::piped()).spawn().context("git could not be started")?;
    let content = archive.stdout.take().context("git archive has an output")?;
    let unpacked = tar::Archive::new(content).unpack(&unfinished);
    let status = archive.wait()?;
    ensure!(status.success(), "git archive {commit}: {status}");
    unpacked.with_context(|| format!("writing {}", unfinished.display()))?;
    Ok(std::fs::rename(&unfinished, sources)?)
}

fn compile(folder: &Path, sources: &Path) -> anyhow::Result<()> {
    let line = format!("build --locked {} --bin daca", packages::host_side(true));
    let manifest = ["--manifest-path".to_owned(), sources.join("Cargo.toml").display().to_string()];
    Cargo::new(&line)
        .arguments(&manifest)
        .variable("CARGO_TARGET_DIR", folder.join("out").display().to_string())
        .variable("CARGO_BUILD_BUILD_DIR", target().display().to_string())
        .variable("RUSTC_WORKSPACE_WRAPPER", wrapper(folder)?.display().to_string())
        .run()
}

/// A program that does nothing but run the compiler. Cargo knows a workspace's packages by their paths within it, so those of
/// two releases look the same, and it would take what it has made of the one for the other; but it keeps apart what different
/// programs have made, and this one has the commit in its path.
fn wrapper(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("rustc");
    std::fs::write(&path, "#!/bin/sh\nexec \"$@\"\n")?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A release before is one that this one comes from. A shallow clone cannot tell.
    #[test]
    fn the_release_before_is_an_ancestor() -> anyhow::Result<()> {
        let commit = commit()?;
        if has(&commit)? && has_whole_history() {
            output(git(&["merge-base", "--is-ancestor", &commit, "HEAD"]))?;
        }
        Ok(())
    }
}

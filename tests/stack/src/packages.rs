//! Packages of the system, where they can be installed: on Debian and its kin, by root.

use std::process::{Command, Stdio};

use anyhow::bail;

use crate::command::run;

/// How to have Dapr's programs where they cannot be built.
pub(crate) const GO_OR_DAPR: &str = "install Go 1.24.9 or newer from https://go.dev/dl, or Dapr with: dapr init --slim --runtime-version 1.16.2";

/// The oldest Go that fetches the one that it is asked for.
const OLDEST_GO: (u32, u32) = (1, 21);

/// Installs packages.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let line = packages.join(" ");
    if !rustix::process::geteuid().is_root() || !is_there("apt-get") {
        bail!("packages are missing\n  help: install them, on Debian with: sudo apt-get install {line}");
    }
    eprintln!(
        "installing {line} with apt-get\n  help: the tests on the real servers need them; cargo xtask test --no-stack does without"
    );
    apt_get(&["update", "-qq"])?;
    if packages.contains(&"golang-go") && !go_is_new_enough() {
        bail!("Go is missing, and the one of this system's packages is too old\n  help: {GO_OR_DAPR}");
    }
    apt_get(&[&["install", "-qq", "-y", "--no-install-recommends"], packages].concat())
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    let what = format!("apt-get {}", arguments.join(" "));
    run(command, &what, "install the packages by hand, or leave the real servers out with --no-stack")
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

fn go_is_new_enough() -> bool {
    let output = Command::new("apt-cache").args(["policy", "golang-go"]).output();
    let output = output.map(|output| output.stdout).unwrap_or_default();
    go_version(&String::from_utf8_lossy(&output)).is_some_and(|version| version >= OLDEST_GO)
}

/// The version that `apt-cache policy` offers, such as 1.19 of `2:1.19~1`.
fn go_version(policy: &str) -> Option<(u32, u32)> {
    let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"))?.trim();
    let version = candidate.split_once(':').map_or(candidate, |(_, version)| version);
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_is_read() {
        let policy = |candidate: &str| format!("golang-go:\n  Installed: (none)\n  Candidate: {candidate}\n");
        assert_eq!(go_version(&policy("2:1.19~1")), Some((1, 19)));
        assert_eq!(go_version(&policy("2:1.24~2")), Some((1, 24)));
        assert_eq!(go_version(&policy("(none)")), None);
    }
}

//! `cargo xtask bench`: the host beside what people would use instead. The package `daca-bench` measures; here it is built, and
//! what it measures, as it is shipped.
//!
//! The host's side and the servers' side are built by a command each, for the reason that [`mod@crate::test`] gives.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::cargo::Cargo;
use crate::steps::{self, Step};
use crate::toolchain::Part;
use crate::{agents, guests, paths};

/// The measures that need no agent in another language than Rust.
const IN_RUST: [&str; 8] =
    ["turn", "activation", "embedded", "sidecar", "actors", "swap", "neighbours", "start"];

/// What `bench` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Arguments of daca-bench: turn activation embedded sidecar actors swap neighbours start languages python-engine, --quick,
    /// --json FILE, --write
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds everything, and becomes `daca-bench`: what ends it ends all servers.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let build = |name, packages: &str| Step::cargo(name, Cargo::new(&format!("build --release {packages}")));
    let mut needed = vec![
        Step::toolchain(&[Part::WasmTarget, Part::Make]),
        guests::chat_agent(),
        guests::test_guests(),
        build("host and native logic", "-p daca-host -p daca-bench-native"),
        build("benchmark", "-p daca-bench"),
    ];
    needed.extend(needs_languages(&arguments.arguments).then(agents::measured_step));
    steps::run(&needed)?;
    let program = paths::target().join("release/daca-bench");
    let error = Command::new(&program).args(&arguments.arguments).current_dir(paths::root()).exec();
    Err(error).with_context(|| format!("starting {}", program.display()))
}

/// Returns `true` if a measure is asked for that needs agents in other languages. Without a name, all are.
fn needs_languages(arguments: &[String]) -> bool {
    let names = |known: &[&str]| arguments.iter().any(|argument| known.contains(&argument.as_str()));
    names(&["languages", "python-engine"]) || !names(&IN_RUST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_in_other_languages_are_built_for_the_measures_that_need_them() {
        let needs = |line: &str| needs_languages(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(["", "--quick", "languages --write", "turn python-engine"].into_iter().all(needs));
        assert!(!["turn", "swap --json FILE", "--quick start"].into_iter().any(needs));
    }
}

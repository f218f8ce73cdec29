//! `cargo xtask bench`: the host beside what people would use instead. The package `daca-bench` measures; here it is built, and
//! what it measures, as it is shipped.
//!
//! The host's side and the servers' side are built by a command each, for the reason that [`mod@crate::test`] gives.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::cargo::Cargo;
use crate::guests;
use crate::paths;
use crate::steps::{self, Step};
use crate::toolchain::Part;

/// What `bench` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Arguments of daca-bench: turn activation embedded sidecar actors swap neighbours start, --quick, --json FILE, --write
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds everything, and becomes `daca-bench`: what ends it ends all servers.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let build = |name, packages: &str| Step::cargo(name, Cargo::new(&format!("build --release {packages}")));
    steps::run(&[
        Step::toolchain(&[Part::WasmTarget, Part::Make]),
        guests::chat_agent(),
        guests::test_guests(),
        build("host and native logic", "-p daca-host -p daca-bench-native"),
        build("benchmark", "-p daca-bench"),
    ])?;
    let program = paths::target().join("release/daca-bench");
    let error = Command::new(&program).args(&arguments.arguments).current_dir(paths::root()).exec();
    Err(error).with_context(|| format!("starting {}", program.display()))
}

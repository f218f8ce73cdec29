//! `cargo xtask chaos`: work on the real servers while they fail. The package `daca-chaos` does it; here it is built, and what
//! it needs.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::cargo::Cargo;
use crate::steps::{self, Step};
use crate::toolchain::Part;
use crate::{dev, guests, paths, stack};

/// What the test command runs: the same faults each time, on two hosts. `cargo xtask chaos` with these repeats it alone.
const OF_TEST: [(&str, u32); 3] = [("--minutes", 5), ("--seed", 18), ("--hosts", 2)];

/// What `chaos` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Arguments of daca-chaos: --minutes N or --faults N, --seed S or --seeds FROM-TO, --hosts H
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds everything, and becomes `daca-chaos`: what ends it ends all servers.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let steps = [
        Step::toolchain(&[Part::WasmTarget, Part::Make]),
        Step::cargo("stack and chaos", Cargo::new("build -p daca-stack -p daca-chaos")),
        stack::servers_in_background(),
        guests::test_guests(),
        dev::host("dev"),
        stack::servers(),
    ];
    steps::run(&steps)?;
    let error = Command::new(path()).args(&arguments.arguments).current_dir(paths::root()).exec();
    Err(error).with_context(|| format!("starting {}", path().display()))
}

/// The step of the test command, which has built everything.
pub(crate) fn of_test() -> Step {
    let arguments = OF_TEST.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]);
    Step::program("chaos", [path().display().to_string()].into_iter().chain(arguments).collect())
}

fn path() -> PathBuf {
    paths::target().join("debug/daca-chaos")
}

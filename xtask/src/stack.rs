//! `cargo xtask stack`, `cargo xtask produce`: the host among the real servers. The package `daca-stack` does it; here it is
//! built, and what it needs.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::cargo::Cargo;
use crate::paths;
use crate::steps::{self, Step};
use crate::toolchain::Part;
use crate::{dev, guests};

/// What `stack` is asked to do.
#[derive(clap::Args)]
pub(crate) struct UpArguments {
    /// Arguments of daca-stack up: --hosts N, --manifest FILE, --keep FOLDER
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// What `produce` is asked to do.
#[derive(clap::Args)]
pub(crate) struct ProduceArguments {
    /// Arguments of daca-stack produce: --actor ID, what the user says, --topic NAME, --key KEY, --brokers ADDRESSES
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    arguments: Vec<String>,
}

/// Builds everything, and becomes `daca-stack up`: what ends it ends all servers.
pub(crate) fn up(arguments: &UpArguments) -> anyhow::Result<()> {
    let steps = [
        Step::toolchain(&[Part::WasmTarget, Part::Make]),
        program(),
        servers_in_background(),
        guests::chat_agent(),
        dev::host("dev"),
        servers(),
    ];
    steps::run(&steps)?;
    become_stack("up", &arguments.arguments)
}

/// Builds `daca-stack`, and becomes `daca-stack produce`.
pub(crate) fn produce(arguments: &ProduceArguments) -> anyhow::Result<()> {
    if path().is_file() {
        Cargo::new("build --quiet -p daca-stack").run()?;
    } else {
        steps::run(&[Step::toolchain(&[Part::Make]), program()])?;
    }
    become_stack("produce", &arguments.arguments)
}

/// The step that builds `daca-stack`.
fn program() -> Step {
    Step::cargo("stack", Cargo::new("build -p daca-stack"))
}

/// The step that begins to build and fetch the servers, which takes minutes the first time, while other steps go on.
pub(crate) fn servers_in_background() -> Step {
    Step::background("servers, begun", command("build"))
}

/// The step that makes sure of the servers, and waits for what [`servers_in_background`] has begun.
pub(crate) fn servers() -> Step {
    Step::program("servers", command("build"))
}

fn become_stack(name: &str, arguments: &[String]) -> anyhow::Result<()> {
    let error = Command::new(path()).arg(name).args(arguments).current_dir(paths::root()).exec();
    Err(error).with_context(|| format!("starting {}", path().display()))
}

fn command(name: &str) -> Vec<String> {
    vec![path().display().to_string(), name.to_owned()]
}

fn path() -> PathBuf {
    paths::target().join("debug/daca-stack")
}

//! `cargo xtask conformance`: what every agent and every host must do. The package `daca-conformance` tries it; here it and the
//! agents are built.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::cargo::Cargo;
use crate::steps::{self, Step};
use crate::toolchain::Part;
use crate::{agents, dev, paths};

/// What `conformance` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Arguments of daca-conformance: --url URL --admin URL for a host that runs, --agent NAME, --help for all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds what is needed, and becomes `daca-conformance`.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let program = Step::cargo("conformance", Cargo::new("build -p daca-conformance"));
    // Whoever names a host, or asks for help, needs none of ours.
    let has = |word: &str| arguments.arguments.iter().any(|argument| argument.starts_with(word));
    let mut needed = vec![program];
    if !["--url", "--manifest", "--help", "-h"].into_iter().any(has) {
        let in_rust = [Step::toolchain(&[Part::WasmTarget]), rust_agent()];
        let host = [dev::host("dev"), dev::engine("dev")];
        needed
            .extend(in_rust.into_iter().chain([agents::step()]).chain(host).chain([agents::compiled_step()]));
    }
    steps::run(&needed)?;
    let path = paths::target().join("debug/daca-conformance");
    let error = Command::new(&path).args(&arguments.arguments).exec();
    Err(error).with_context(|| format!("starting {}", path.display()))
}

/// The step that builds the agent in Rust.
pub(crate) fn rust_agent() -> Step {
    let cargo = Cargo::new("build -p conformance-agent --target wasm32-wasip2 --profile guest");
    Step::cargo("conformance: Rust", cargo)
}

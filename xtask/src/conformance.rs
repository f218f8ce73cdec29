//! `cargo xtask conformance`: what every agent and every host must do. The package `daca-conformance` tries it; here it and the
//! agents are built.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::cargo::Cargo;
use crate::steps::{self, Step, Warnings};
use crate::toolchain::Part;
use crate::{dev, languages, paths};

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
        let agents = [Step::toolchain(&[Part::WasmTarget]), rust_agent(), other_agents()];
        needed.extend(agents.into_iter().chain([dev::host("dev"), dev::engine("dev")]));
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

/// The step that builds the agents whose tools are there.
pub(crate) fn other_agents() -> Step {
    Step::check("conformance: others", "cargo xtask conformance", build_others)
}

/// Agents that cannot be built here are left out, and are not there: those of an earlier build would be of other sources.
fn build_others() -> anyhow::Result<Warnings> {
    let folder = paths::target().join("conformance");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let output = folder.join("typescript.wasm");
    if output.exists() {
        std::fs::remove_file(&output).with_context(|| output.display().to_string())?;
    }
    let has_npm = Command::new("npm").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !has_npm.is_ok_and(|status| status.success()) {
        let what = "THE CONFORMANCE CASES ARE NOT TRIED WITH AN AGENT THAT daca-js BUILDS";
        return Ok(vec![format!("{what}: it needs Node with npm")]);
    }
    let build = Command::new("node")
        .arg(languages::javascript_sdk()?.join("tools/daca-js.js"))
        .args(["build", "tests/conformance/agents/typescript/agent.ts", "-o"])
        .arg(&output)
        .current_dir(paths::root())
        .status()
        .context("node could not be started")?;
    ensure!(build.success(), "daca-js build: {build}");
    Ok(Warnings::new())
}

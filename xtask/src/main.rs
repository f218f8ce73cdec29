//! `cargo xtask dev` and `cargo xtask test`: what a person and CI run.
//!
//! Both bring what they need: the target of the guests is added when it is missing, and the guests are built before the host
//! that runs them. Nothing else is needed but Rust and a linker.

mod error_codes;
mod steps;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use steps::{Steps, cargo};

#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the ChatAgent and the host, and run them until Ctrl-C
    Dev {
        /// Arguments for `daca run`, after `--`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Check formats and lints, build everything, run every test
    Test {
        /// Run only the host tests whose name contains this
        filter: Option<String>,
    },
    /// Build the components: the ChatAgent and the test guests
    Guests,
}

/// The target that guests are compiled for.
const GUEST_TARGET: &str = "wasm32-wasip2";

fn main() -> anyhow::Result<()> {
    let root = workspace_root()?;
    std::env::set_current_dir(&root).with_context(|| format!("entering {}", root.display()))?;
    match Arguments::parse().command {
        Command::Dev { arguments } => dev(&root, &arguments),
        Command::Test { filter: None } => test(),
        Command::Test { filter: Some(filter) } => test_some(&filter),
        Command::Guests => {
            let mut steps = Steps::new(3);
            guests(&mut steps)
        }
    }
}

fn workspace_root() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_owned).context("xtask lies in no workspace")
}

fn dev(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let mut steps = Steps::new(3);
    steps.run("the target of the guests", add_guest_target)?;
    steps.run("the ChatAgent", || cargo(&build_guest("chat-agent", &[])))?;
    steps.run("the host", || cargo(&["build", "--package", "daca-host"]))?;
    println!(
        "\nThe ChatAgent will listen on http://127.0.0.1:8000. In another terminal:\n\n  \
         curl -X POST localhost:8000/chat/user1 -H 'Content-Type: application/json' -d '{{\"role\": \"user\", \"content\": \"Hi\"}}'\n  \
         curl localhost:8000/chat/user1/history\n  \
         curl localhost:8001/outbox\n\nCtrl-C ends it.\n"
    );
    // This process becomes the host, so that Ctrl-C reaches it alone and nothing is left behind.
    let error = std::process::Command::new(root.join("target/debug/daca"))
        .args(["run", "--manifest", "agents.toml"])
        .args(arguments)
        .exec();
    Err(error).context("starting target/debug/daca")
}

fn test() -> anyhow::Result<()> {
    let mut steps = Steps::new(9);
    steps.run("formats", || cargo(&["fmt", "--all", "--check"]))?;
    steps.run("every error code has its page", error_codes::check)?;
    guests(&mut steps)?;
    steps.run("the host", || cargo(&["build", "--package", "daca-host"]))?;
    steps.run("lints", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    steps.run("documentation", || {
        steps::cargo_with(
            "RUSTDOCFLAGS",
            "-D warnings",
            &["doc", "--no-deps", "--package", "daca-host", "--package", "daca-sdk"],
        )
    })?;
    steps.run("tests", || cargo(&["test", "--workspace"]))?;
    steps.summary();
    Ok(())
}

fn test_some(filter: &str) -> anyhow::Result<()> {
    let mut steps = Steps::new(5);
    guests(&mut steps)?;
    steps.run("the host", || cargo(&["build", "--package", "daca-host"]))?;
    steps.run("tests", || cargo(&["test", "--package", "daca-tests", "--", filter]))
}

fn guests(steps: &mut Steps) -> anyhow::Result<()> {
    steps.run("the target of the guests", add_guest_target)?;
    steps.run("the ChatAgent", || cargo(&build_guest("chat-agent", &[])))?;
    steps.run("the test guests", || cargo(&build_guest("test-guests", &["--examples"])))
}

fn build_guest<'a>(package: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["build", "--package", package, "--target", GUEST_TARGET, "--profile", "guest"], more].concat()
}

fn add_guest_target() -> anyhow::Result<()> {
    let sysroot =
        std::process::Command::new("rustc").args(["--print", "sysroot"]).output().context("running rustc")?;
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout)?.trim());
    if sysroot.join("lib/rustlib").join(GUEST_TARGET).is_dir() {
        return Ok(());
    }
    steps::run_command("rustup", &["target", "add", GUEST_TARGET]).with_context(|| {
        format!("install Rust's target {GUEST_TARGET}, with rustup or your system's packages")
    })
}

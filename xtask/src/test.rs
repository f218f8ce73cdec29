//! `cargo xtask test`: everything that must hold before a change is kept.
//!
//! Lints, tests and documentation run once for the host's side and once for the guests' side of the workspace, not once for
//! all of it. Cargo unites the features of dependencies over the packages that one command names, and what guests need for
//! their macros would make it compile wasmtime a second time, beside the one that `cargo build -p daca-host` has made.

use crate::cargo::Cargo;
use crate::steps::{self, Step};
use crate::toolchain::Part;
use crate::{dev, guests};

/// What `test` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Build guests and host, and run those tests of the suite alone whose name contains one of these
    filter: Vec<String>,
}

/// The packages that know nothing of the host. All others are the host's side, so that a new one is not forgotten.
const GUEST_SIDE: [&str; 4] = ["chat-agent", "daca-sdk", "daca-sdk-macros", "test-guests"];

/// Runs the steps, and prints how long each took.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let steps = if arguments.filter.is_empty() { all() } else { filtered(&arguments.filter) };
    let times = steps::run(&steps)?;
    steps::summarise(&steps, &times);
    Ok(())
}

fn all() -> Vec<Step> {
    let guest_side = GUEST_SIDE.map(|package| format!("-p {package}")).join(" ");
    let host_side =
        format!("--workspace {}", GUEST_SIDE.map(|package| format!("--exclude {package}")).join(" "));
    let step = |name, line: String| Step::cargo(name, Cargo::new(&line));
    let docs = |name, package| {
        let cargo = Cargo::new(&format!("doc --no-deps -p {package}"));
        Step::cargo(name, cargo.variable("RUSTDOCFLAGS", "-D warnings"))
    };
    vec![
        Step::toolchain(&[Part::Rustfmt, Part::Clippy, Part::WasmTarget]),
        step("format", "fmt --all --check".into()),
        guests::chat_agent(),
        guests::test_guests(),
        dev::host("dev"),
        step("lints: guests", format!("clippy {guest_side} --all-targets -- -D warnings")),
        step("lints: host", format!("clippy {host_side} --all-targets -- -D warnings")),
        step("tests: guests", format!("test {guest_side}")),
        step("tests: host", format!("test {host_side}")),
        docs("documentation: SDK", "daca-sdk"),
        docs("documentation: host", "daca-host"),
    ]
}

fn filtered(filter: &[String]) -> Vec<Step> {
    let tests = Cargo::new("test -p daca-tests --").arguments(filter);
    vec![
        Step::toolchain(&[Part::WasmTarget]),
        guests::chat_agent(),
        guests::test_guests(),
        dev::host("dev"),
        Step::cargo("tests", tests),
    ]
}

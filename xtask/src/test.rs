//! `cargo xtask test`: everything that must hold before a change is kept.
//!
//! Lints, tests and documentation run once for the host's side and once for the guests' side of the workspace, not once for
//! all of it. Cargo unites the features of dependencies over the packages that one command names, and what guests need for
//! their macros would make it compile wasmtime a second time, beside the one that `cargo build -p daca-host` has made. The
//! package of the real servers is a third side for the same reason: the client of Kafka has such macros too.

use crate::cargo::Cargo;
use crate::steps::{self, Step};
use crate::toolchain::Part;
use crate::{dev, guests, k8s, stack};

/// What `test` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave out the tests on the real servers, and what they need: Go, Java, Redis, make
    #[arg(long)]
    no_stack: bool,
    /// The tests on a cluster instead: the one that the current context of kubectl names, with Dapr's control plane in it
    #[arg(long, conflicts_with = "no_stack")]
    k8s: bool,
    #[command(flatten)]
    cluster: k8s::ClusterArguments,
    /// Build guests and host, and run those tests of the suite alone whose name contains one of these
    filter: Vec<String>,
}

/// The packages that know nothing of the host. All others are the host's side, so that a new one is not forgotten.
const GUEST_SIDE: [&str; 4] = ["chat-agent", "daca-sdk", "daca-sdk-macros", "test-guests"];

/// The package of the real servers, and those that use it: the benchmark, and the tests on a cluster.
const STACK_SIDE: [&str; 3] = ["daca-stack", "daca-bench", "daca-k8s"];

/// Runs the steps, and prints how long each took.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.k8s {
        return k8s::run(&arguments.cluster, &arguments.filter);
    }
    let with_stack = !arguments.no_stack;
    let steps =
        if arguments.filter.is_empty() { all(with_stack) } else { filtered(&arguments.filter, with_stack) };
    let times = steps::run(&steps)?;
    steps::summarise(&steps, &times);
    if !with_stack {
        eprintln!("\nwarning: --no-stack: THE TESTS ON THE REAL SERVERS WERE SKIPPED");
    }
    Ok(())
}

fn all(with_stack: bool) -> Vec<Step> {
    let [guest_side, stack_side] = [&GUEST_SIDE[..], &STACK_SIDE].map(packages);
    let others = GUEST_SIDE.iter().chain(&STACK_SIDE).map(|package| format!("--exclude {package}"));
    let host_side = format!("--workspace {}", others.collect::<Vec<_>>().join(" "));
    let step = |name, line: String| Step::cargo(name, Cargo::new(&line));
    let docs = |name, package| {
        let cargo = Cargo::new(&format!("doc --no-deps -p {package}"));
        Step::cargo(name, cargo.variable("RUSTDOCFLAGS", "-D warnings"))
    };
    let mut steps = vec![
        Step::toolchain(&[Part::Rustfmt, Part::Clippy, Part::WasmTarget]),
        step("format", "fmt --all --check".into()),
    ];
    if with_stack {
        steps.extend(begin_stack());
    }
    steps.extend([
        guests::chat_agent(),
        guests::test_guests(),
        dev::host("dev"),
        step("lints: guests", format!("clippy {guest_side} --all-targets -- -D warnings")),
        step("lints: host", format!("clippy {host_side} --all-targets -- -D warnings")),
        step("tests: guests", format!("test {guest_side}")),
        step("tests: host", format!("test {host_side}")),
        docs("documentation: SDK", "daca-sdk"),
        docs("documentation: host", "daca-host"),
    ]);
    if with_stack {
        steps.extend([
            step("lints: stack", format!("clippy {stack_side} --all-targets -- -D warnings")),
            docs("documentation: stack", "daca-stack"),
            stack::servers(),
            step("tests: stack", format!("test {stack_side}")),
        ]);
    }
    steps
}

fn packages(names: &[&str]) -> String {
    names.iter().map(|name| format!("-p {name}")).collect::<Vec<_>>().join(" ")
}

fn filtered(filter: &[String], with_stack: bool) -> Vec<Step> {
    let tests = |name, line: &str| Step::cargo(name, Cargo::new(line).arguments(filter));
    let mut steps = vec![Step::toolchain(&[Part::WasmTarget])];
    if with_stack {
        steps.extend(begin_stack());
    }
    steps.extend([
        guests::chat_agent(),
        guests::test_guests(),
        dev::host("dev"),
        tests("tests", "test -p daca-tests --"),
    ]);
    if with_stack {
        steps.extend([
            stack::servers(),
            tests("tests: stack", "test -p daca-stack -p daca-bench -p daca-k8s --test stack --"),
        ]);
    }
    steps
}

/// What takes longest begins first.
fn begin_stack() -> [Step; 3] {
    [Step::toolchain(&[Part::Make]), stack::program_and_tests(), stack::servers_in_background()]
}

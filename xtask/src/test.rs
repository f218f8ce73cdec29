//! `cargo xtask test`: all checks that a change must pass.
//!
//! Everything is compiled once. The compiler of the workspace's own packages is Clippy's ([`Cargo::linted`]), which lints what
//! it makes; `cargo clippy` would check all dependencies a second time. The documentation is made where the doc tests run
//! ([`documentation`]), for the same reason. Cargo unites the features of dependencies over the packages that one command
//! names, so all commands name the same ones: those of the guests, or all others. Guests are apart, because what they need for
//! their macros would make cargo compile wasmtime once more, beside the one that `cargo build -p daca-host` has made.
//!
//! What is quick comes first: the format, the links of the documents ([`links`]), the dependencies ([`dependencies`]).
//!
//! The servers are built and fetched in the background from the start, and the host of the release before is built once
//! ([`previous`]). The tests begin when all of that is done: many of them look at the time. Faults on all servers at once
//! ([`chaos`]) come last, since they take minutes and the processors.

use crate::cargo::Cargo;
use crate::packages::{guest_side, host_side};
use crate::steps::{self, Step};
use crate::toolchain::Part;
use crate::{
    agents, chaos, conformance, dependencies, dev, documentation, guests, k8s, languages, links, previous,
    stack,
};

/// What `test` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave out the tests on the real servers, and what they need: Go, Java, Redis, make
    #[arg(long)]
    no_stack: bool,
    /// Leave out the minutes of faults on all servers, which come last
    #[arg(long)]
    no_chaos: bool,
    /// Leave out the SDKs for other languages than Rust, the agents in them, and what they need: Node, Python, Go, make
    #[arg(long)]
    no_languages: bool,
    /// The tests on a cluster instead: the one that the current context of kubectl names, with Dapr's control plane in it
    #[arg(long, conflicts_with = "no_stack")]
    k8s: bool,
    #[command(flatten)]
    cluster: k8s::ClusterArguments,
    /// Build guests and host, and run those tests of the suite alone whose name contains one of these
    filter: Vec<String>,
}

/// Runs the steps, and prints how long each took.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.k8s {
        return k8s::run(&arguments.cluster, &arguments.filter);
    }
    let with_stack = !arguments.no_stack;
    let with_languages = !arguments.no_languages;
    let is_filtered = !arguments.filter.is_empty();
    let mut steps = if is_filtered {
        filtered(&arguments.filter, with_stack, with_languages)
    } else {
        all(with_stack, with_languages)
    };
    if !is_filtered && with_languages {
        steps.push(Step::check("languages", "cargo xtask languages", languages::check));
    }
    if with_stack && !arguments.no_chaos && !is_filtered {
        steps.push(chaos::of_test());
    }
    let done = steps::run(&steps)?;
    steps::summarise(&steps, &done);
    if !with_stack {
        eprintln!("\nwarning: --no-stack: THE TESTS ON THE REAL SERVERS WERE SKIPPED");
    }
    if !with_languages && !is_filtered {
        eprintln!("\nwarning: --no-languages: THE SDKS FOR OTHER LANGUAGES WERE NOT TRIED");
    }
    if arguments.no_chaos && !is_filtered {
        eprintln!("\nwarning: --no-chaos: THE FAULTS ON ALL SERVERS WERE SKIPPED");
    }
    Ok(())
}

fn all(with_stack: bool, with_languages: bool) -> Vec<Step> {
    let (guest_side, host_side) = (guest_side(), host_side(with_stack));
    let mut steps = vec![
        Step::toolchain(&[Part::Rustfmt, Part::Clippy, Part::WasmTarget]),
        Step::cargo("format", Cargo::new("fmt --all --check")),
        Step::check("links", "cargo xtask links", links::check),
        Step::check("dependencies", "cargo xtask dependencies", dependencies::check),
    ];
    if with_stack {
        steps.extend(begin_stack());
    }
    let build = |name, side: &str| Step::cargo(name, linted(&format!("build {side} --all-targets")));
    let test = |name, side: &str| {
        let cargo = linted(&format!("test {side}"));
        Step::cargo(name, documentation::made_beside_doc_tests(cargo))
    };
    steps.extend([
        guests::chat_agent(),
        guests::examples(),
        guests::test_guests(),
        conformance::rust_agent(),
        foreign_agents(with_languages),
        build("build: guests", &guest_side),
        build("build: host", &host_side),
        dev::engine("dev"),
    ]);
    steps.extend(with_languages.then(agents::compiled_step));
    if with_stack {
        steps.extend([previous::step(), stack::servers()]);
    }
    steps.extend([test("tests: guests", &guest_side), test("tests: host", &host_side)]);
    steps
}

fn filtered(filter: &[String], with_stack: bool, with_languages: bool) -> Vec<Step> {
    let mut steps = vec![Step::toolchain(&[Part::Clippy, Part::WasmTarget])];
    if with_stack {
        steps.extend(begin_stack());
    }
    let host_side = host_side(with_stack);
    let build = linted(&format!("build {host_side} --bin daca"));
    let guests = [
        guests::chat_agent(),
        guests::examples(),
        guests::test_guests(),
        conformance::rust_agent(),
        foreign_agents(with_languages),
    ];
    steps.extend(guests.into_iter().chain([Step::cargo("host", build), dev::engine("dev")]));
    steps.extend(with_languages.then(agents::compiled_step));
    let mut tests = format!("test {host_side} --test suite --test cases --test kit --test examples");
    if with_stack {
        steps.extend([previous::step(), stack::servers()]);
        tests.push_str(" --test stack");
    }
    steps.push(Step::cargo("tests", linted(&tests).arguments(&["--".to_owned()]).arguments(filter)));
    steps
}

/// The step for the agents in other languages than Rust.
fn foreign_agents(with_languages: bool) -> Step {
    if with_languages { agents::step() } else { agents::left_out_step() }
}

/// A run of cargo whose compiler lints. A warning fails it.
fn linted(line: &str) -> Cargo {
    Cargo::new(line).linted()
}

/// What takes longest begins first.
fn begin_stack() -> [Step; 3] {
    let program = linted(&format!("build {} --bin daca-stack", host_side(true)));
    [Step::toolchain(&[Part::Make]), Step::cargo("stack", program), stack::servers_in_background()]
}

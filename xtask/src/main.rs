//! `cargo xtask`: the commands that a person and CI run, so that both run the same ones.
//!
//! What it takes to build the project is more than one `cargo build`: guests are built for another target and with another
//! profile than the host, the target may have to be added first, and the tests expect all of it to be there. Those steps are
//! written down here once, in Rust, because Rust is the one thing that everybody who builds the project has.
//!
//! [`steps`] runs a list of steps aloud; [`toolchain`], [`cargo`], [`mod@links`], [`mod@dependencies`], [`mod@languages`],
//! [`mod@agents`] and [`previous`] are what a step can be; [`guests`], [`dev`], [`stack`], [`chaos`], [`conformance`],
//! [`mod@image`], [`mod@bench`], [`mod@k8s`] and [`mod@test`] are the lists; [`packages`] has what they name. The tests of
//! `circles` look at the order of the files, and those of `lengths` at how long they are.

mod agents;
mod bench;
mod cargo;
mod chaos;
#[cfg(test)]
mod circles;
mod conformance;
mod dependencies;
mod dev;
mod documentation;
mod guests;
mod image;
mod k8s;
mod language_tools;
mod languages;
#[cfg(test)]
mod lengths;
mod links;
mod packages;
mod paths;
mod previous;
mod stack;
mod steps;
mod test;
mod toolchain;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, runs and tests the project.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the ChatAgent and the host, and run them until Ctrl-C
    Dev(dev::Arguments),
    /// Run hosts among the real servers, with Dapr, Redis and Kafka, until Ctrl-C
    Stack(stack::UpArguments),
    /// Send a message for an actor to Kafka
    Produce(stack::ProduceArguments),
    /// Work on the real servers while they fail, and check everything that was promised
    Chaos(chaos::Arguments),
    /// Try what every agent and every host must do: on the built host, or on any that runs
    Conformance(conformance::Arguments),
    /// Check formats and lints, build everything, run the tests, make the documentation
    Test(test::Arguments),
    /// Measure the host beside what people would use instead
    Bench(bench::Arguments),
    /// Build the container image of the host with the ChatAgent
    Image(image::Arguments),
    /// Build the components: the ChatAgent, the examples and the guests of the tests
    Guests,
    /// Build the host of the release before, for the tests of a rollout
    Previous,
    /// Check that every link between the documents leads somewhere
    Links,
    /// Build the agents of the tests and the benchmark in TypeScript, Python, Go and C
    Agents,
    /// Try the SDKs for JavaScript, Python, Go and C with their own tools
    Languages,
    /// Check what dependencies bring (licences, sources, advisories), and that each is used
    Dependencies,
}

fn main() -> ExitCode {
    if let Some(code) = documentation::stand_in() {
        return code;
    }
    let result = match Arguments::parse().command {
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Stack(arguments) => stack::up(&arguments),
        Command::Produce(arguments) => stack::produce(&arguments),
        Command::Chaos(arguments) => chaos::run(&arguments),
        Command::Conformance(arguments) => conformance::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Image(arguments) => image::run(&arguments),
        Command::Guests => guests::run(),
        Command::Previous => previous::build().map(|warnings| steps::warn(&warnings)),
        Command::Links => links::check().map(|warnings| steps::warn(&warnings)),
        Command::Agents => agents::build_all().map(|warnings| steps::warn(&warnings)),
        Command::Languages => languages::check().map(|warnings| steps::warn(&warnings)),
        Command::Dependencies => dependencies::check().map(|warnings| steps::warn(&warnings)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! `daca-stack`: the real servers with hosts on a laptop, and messages for them. `cargo xtask stack` and `cargo xtask produce`
//! build it and become it.

mod produce;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs the real servers with hosts, and sends them messages.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make sure of the servers' programs: find, fetch or build them
    Build,
    /// Bring everything up, until Ctrl-C
    Up(up::Arguments),
    /// Send a message for an actor to Kafka
    Produce(produce::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Build => daca_stack::build::all().map(|()| ExitCode::SUCCESS),
        Command::Up(arguments) => up::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Produce(arguments) => produce::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

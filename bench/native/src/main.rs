//! What of the benchmark runs in the host's own process, and the ChatAgent's logic compiled natively.
//!
//! `daca-bench` starts this program: the two link different features of the same libraries. [`turn`], [`activation`]
//! and [`initial_memory`] print what they have measured as JSON; [`serve`] is the server that the host is compared with.

mod activation;
mod bare;
mod chat_agent;
mod common;
mod host;
mod initial_memory;
mod memory;
mod serve;
mod turn;

use clap::Parser;

/// Measures what runs in the host's own process.
#[derive(Parser)]
enum Arguments {
    /// A turn in memory: the component against the same logic compiled natively
    Turn(turn::Arguments),
    /// A new instance with its first message: the host against bare wasmtime
    Activation(activation::Arguments),
    /// A new instance with its first message: with its memory copied, and with it mapped
    InitialMemory(initial_memory::Arguments),
    /// Serve the ChatAgent with native logic until SIGTERM
    Serve(serve::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse() {
        Arguments::Turn(arguments) => turn::run(&arguments),
        Arguments::Activation(arguments) => activation::run(&arguments),
        Arguments::InitialMemory(arguments) => initial_memory::run(&arguments),
        Arguments::Serve(arguments) => serve::run(&arguments),
    }
}

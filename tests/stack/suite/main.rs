//! Tests on the real servers. `cargo xtask test` makes their programs first; each test starts its own.

mod broker;
mod dead_letters;
mod deploying;
mod direct;
mod faults;
mod hosts;
mod kafka;
mod protocol;
mod publish;
mod reentrancy;
mod repeats;
mod rollout;
mod state;
mod support;
mod swap;
mod tokens;
mod tutorial;
mod up;
mod volume;
mod wakeups;

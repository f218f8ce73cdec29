//! Tests on the real servers. `cargo xtask test` makes their programs first; each test starts its own.

mod kafka;
mod protocol;
mod reentrancy;
mod state;
mod support;
mod tokens;
mod tutorial;
mod up;
mod wakeups;

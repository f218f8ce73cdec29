//! Tests on the real servers. `cargo xtask test` makes their programs first; each test starts its own.

mod faults;
mod hosts;
mod kafka;
mod state;
mod support;
mod tutorial;
mod volume;

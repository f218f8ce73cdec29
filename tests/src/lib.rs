//! What the tests and the benchmark share that run the program as a process: the one crate of their helpers.
//!
//! The suite (`tests/suite`) starts a [`Host`] for each test, on ports that the system chooses and with a data folder that goes
//! away with it. The real servers (`tests/stack`), the tests on a cluster (`tests/k8s`) and the benchmark (`bench`) start
//! programs as [`Process`]es, which can be stopped, killed and started again on the [`ports`] they had.
//!
//! All of them find what was built by [`folders`], make manifests of [`default_manifest`], [`manifest_of`] and [`exerciser`],
//! wait by [`eventually`] or a [`Patience`] of their own, hold a turn for as long as they need it ([`Host::hold`]), and read an
//! [`Answer`]. Nothing of the host's own crates is in here: what these tests see is what somebody outside sees. Agents in the
//! test's own process are the business of `testkit`.

mod answer;
mod client;
pub mod console;
pub mod deploy;
mod fixtures;
pub mod folders;
mod held;
mod host;
pub mod metrics;
pub mod ports;
mod process;
mod program;
mod versions;
mod wait;

pub use answer::{Answer, json_or_text};
pub use client::{PROBE_TIMEOUT, client, is_well};
pub use fixtures::{
    chat_agent, default_manifest, digest, exerciser, exerciser_with, foreign_agent, guest, manifest_of,
    replaced,
};
pub use folders::{daca, target};
pub use held::{LONGER_AND_LONGER, until_released};
pub use host::{Host, message};
pub use process::{Process, Program};
pub use program::{Ended, exchange, make_pipe, run_arguments, run_in, run_with};
pub use wait::{Patience, TIMEOUT, eventually};

//! What every agent and every host must do, as data (`cases/`), and what tries it.
//!
//! A [`Case`] is a list of calls over plain HTTP and of what must follow. It knows neither the language of the agent
//! nor the host, so [`Runner`] tries it on any host whose manifest is `conformance.toml` ([`manifest()`]): on the built one with
//! each [`Agent`] of `agents/`, or on one that somebody names. Nothing of the host's own crates is in here.

mod agents;
mod built;
mod case;
mod manifest;
mod matching;
mod run;
mod table;
mod target;

pub use agents::{AGENTS, Agent};
pub use built::{read, try_all, try_on_built_host};
pub use case::{Case, Group, groups};
pub use manifest::{SECRETS, manifest};
pub use run::{Outcome, Runner};
pub use table::Table;
pub use target::Target;

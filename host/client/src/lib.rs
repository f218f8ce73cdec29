//! The operator's commands: they ask a running host through its admin port, and say for people what it answers.
//!
//! [`admin`] speaks HTTP and turns refusals into errors; each command has a file, and [`table`] lines up what they print.
//! What a host sends may come from agents and from other operators, so no control character of it reaches the terminal.

mod admin;
mod deploy;
mod invoke;
mod logs;
mod outcome;
mod pins;
mod ps;
mod rollback;
mod table;
mod versions;

pub use admin::{Admin, Error};
pub use deploy::{Deployment, deploy};
pub use invoke::invoke;
pub use logs::{LogRequest, logs};
pub use pins::{pin, unpin};
pub use ps::ps;
pub use rollback::rollback;
pub use versions::versions;

/// In which form a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For machines: the host's JSON, as it came.
    Json,
}

use daca_base::digest::short;

//! The operator's commands: they call a running host through its admin port, and format its answers.
//!
//! [`admin`] does the HTTP requests and turns refusals into errors; each command has a file, and [`table`] aligns
//! columns. A host's data may come from agents and from other operators, so none of its control characters reaches the
//! terminal.

mod admin;
mod backup;
mod deploy;
mod effects;
mod form;
mod invoke;
mod logs;
mod outcome;
mod pins;
mod ps;
mod rollback;
mod table;
mod top;
mod versions;

pub use admin::{Admin, Error};
pub use backup::backup;
pub use deploy::{Deployment, deploy};
pub use effects::{EffectsView, change_effects, effects};
pub use form::Form;
pub use invoke::invoke;
pub use logs::{LogRequest, logs};
pub use pins::{pin, unpin};
pub use ps::ps;
pub use rollback::rollback;
pub use top::{TopRequest, top};
pub use versions::versions;

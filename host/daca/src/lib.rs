//! The program `daca`: its commands, and the host that it runs.
//!
//! [`host`] creates the parts of a host and shuts them down. [`check`], [`compile`], [`dev`], [`explain`], [`mod@new`],
//! [`restore`] and [`sign`] are commands that need no host; those that talk to one are in `daca-client`. [`kubernetes`]
//! reports deployments to a cluster. [`admin_token`] identifies clients to a host, and [`app_token`] a sidecar. A command
//! that fails returns a [`Failure`].

pub mod admin_token;
pub mod app_token;
pub mod check;
pub mod compile;
pub mod dev;
pub mod explain;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
pub mod host;
pub mod kubernetes;
pub mod new;
pub mod restore;
pub mod sign;

pub use failure::Failure;

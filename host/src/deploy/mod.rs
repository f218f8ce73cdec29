//! Redeploys: a component version takes the place of another while the host runs.
//!
//! [`signature`] says whose components are taken; [`watch`] tells when the file of one has changed.

pub mod signature;
pub mod watch;

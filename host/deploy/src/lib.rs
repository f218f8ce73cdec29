//! Deployments: how a new version reaches the turns of a running host.
//!
//! A version arrives as bytes: from the file that the manifest names ([`watch`]), by the admin API, or from another
//! host ([`shared`]). It is checked, signature first ([`daca_manifest::signature`], [`prepare`]), and stored
//! ([`library`]). Then the deployment [`controller`] of its agent type changes the [`record`], and the turns see it.
//! Canary analysis rolls back a version that fails too often. [`hosts`] reports the versions that each host serves, and
//! [`report`] what a deployer tells of itself. [`files`] deploys files. A [`backup`] has what serves.
//!
//! The door is the [`Deployer`]. A refusal on this way changes nothing: the previous version keeps serving.

mod agent;
mod backup;
mod controller;
mod deploy;
mod deployer;
mod error;
mod files;
mod history;
mod hosts;
mod library;
mod prepare;
mod record;
mod report;
mod request;
mod shared;
mod start;
mod type_folder;
mod versions_folder;
pub mod watch;

pub use backup::{BackupPlan, VersionsRestore};
pub use daca_manifest::signature::SignatureError;
pub use deployer::{Deployer, DeployerOptions};
pub use error::Error;
pub use library::Mounted;
pub use prepare::{import_warnings, missing_methods};
pub use record::{
    ChangeOutcome, Event, EventKind, FileSeen, Origin, Record, RecordedCanary, Source, VersionMetadata,
};
pub use request::{DeployRequest, Deployed, Permit, TypeView};
pub use shared::read_stored;
pub use start::{AgentTypeStart, check_file};
pub use versions_folder::check_versions_folder;

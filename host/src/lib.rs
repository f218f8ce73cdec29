//! The host of the project: runs Dapr virtual actors whose logic is a WebAssembly component.
//!
//! A turn passes through the rooms of this crate in one direction: [`http`] (who calls) → [`actor`] (whose turn it is) →
//! [`component`] (where it runs) ↔ [`imports`] (what it may reach) → [`backend`] (where that goes). [`deploy`] changes which
//! component version runs while the turns go on. [`manifest`] and [`telemetry`] stand beside them; [`kubernetes`] tells a
//! cluster what was deployed. [`host`] builds the parts
//! and shuts them down; [`check`], [`client`], [`compile`], [`dev`] and [`sign`] are commands of `daca`, and [`admin_token`] is
//! what clients show to a host, [`app_token`] what a sidecar shows. [`clock`] is the time by which all of them decide. [`address`] reads
//! addresses, [`go_duration`] what Dapr writes, and [`json`] all JSON that comes from outside.

pub mod actor;
pub mod address;
pub mod admin_token;
pub mod app_token;
pub mod backend;
pub mod check;
pub mod client;
pub mod clock;
pub mod compile;
pub mod component;
pub mod deploy;
pub mod dev;
mod digest;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod go_duration;
pub mod host;
pub mod http;
pub mod imports;
pub mod json;
pub mod kubernetes;
pub mod manifest;
pub mod sign;
pub mod telemetry;
mod text;

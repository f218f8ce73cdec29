//! The host of the project: runs Dapr virtual actors whose logic is a WebAssembly component.
//!
//! A turn passes through the rooms of this crate in one direction: [`http`] (who calls) → [`actor`] (whose turn it is) →
//! [`component`] (where it runs) ↔ [`imports`] (what it may reach) → [`backend`] (where that goes). [`manifest`],
//! [`deploy`] and [`telemetry`] stand beside them. [`host`] builds the parts and shuts them down; [`check`], [`client`],
//! [`dev`] and [`sign`] are the commands `daca check`, `daca invoke`, `daca dev` and `daca sign`. [`go_duration`] reads what Dapr writes.

pub mod actor;
pub mod backend;
pub mod check;
pub mod client;
pub mod component;
pub mod deploy;
pub mod dev;
mod go_duration;
pub mod host;
pub mod http;
pub mod imports;
pub mod manifest;
pub mod sign;
pub mod telemetry;

//! HTTP: who calls the host, and in which form they are answered.
//!
//! [`app`] serves the manifest's routes and subscriptions to people and brokers, [`callbacks`] a Dapr sidecar, and [`admin`]
//! the operator, to whom [`logs`] shows the log and [`metrics`] the numbers. All end in [`crate::actor::Actors`]; nothing here knows what an actor does. [`inputs`] decides what becomes
//! of a binding's message that failed. [`server`] accepts connections and shuts down; [`lingering`] lets
//! clients see why a body was refused, and [`encoding`] refuses compressed ones.

mod admin;
mod answer;
mod app;
mod call;
mod callbacks;
mod deploy;
mod encoding;
mod inputs;
mod lingering;
mod logs;
mod metrics;
mod server;
mod subscriptions;
mod token;

pub use admin::{AdminState, router as admin_router};
pub use app::{AppOptions, SidecarSide, router as app_router};
pub use server::{Server, ServerOptions};
pub use subscriptions::Subscriptions;
pub use token::{AdminToken, AppToken};

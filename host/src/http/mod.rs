//! HTTP: who calls the host, and in which form they are answered.
//!
//! [`app`] serves the manifest's routes and subscriptions to people and brokers, [`admin`] the operator. Both end in
//! [`crate::actor::Actors`]; nothing here knows what an actor does. [`server`] accepts connections and shuts down.

mod admin;
mod answer;
mod app;
mod call;
mod server;
mod subscriptions;

pub use admin::{AdminState, router as admin_router};
pub use app::{AppOptions, router as app_router};
pub use server::{Server, ServerOptions};
pub use subscriptions::Subscriptions;

//! HTTP: the clients of the host, and the format of their answers.
//!
//! [`app`] serves the manifest's routes and subscriptions to users and brokers, [`callbacks`] serves a Dapr sidecar,
//! and [`admin`] serves the operator. Parts of the admin API have files of their own: [`logs`], [`metrics`], [`top`]
//! (what the agent types use), [`versions`], [`backup`], and [`effects`] (pending effects and dead letters).
//! [`openapi`] describes this API, [`query`] checks its parameters, and `daca_model::admin` has its types. All end in
//! [`daca_routing::CallRouter`], or in [`daca_runtime::actor::Actors`] for what a sidecar has brought to its
//! destination; nothing here knows what an actor does. [`inputs`] handles failed messages of bindings, and [`events`]
//! events; both publish [`dead_letters`]. [`server`] accepts connections and shuts down. [`connections`] limits their
//! number, [`connection`] is one of them, and [`answering`] the end of a request on it; [`head`], [`head_filter`],
//! [`head_timer`], [`framing`] and [`socket`] limit the heads of requests, and [`body`] and [`budget`] their bodies.
//! [`host_seal`] proves to another host that a call is of a host. [`json_answer`] writes answers. [`encoding`] refuses
//! compressed bodies, and [`upload`] reads components. [`rate`] counts the callers of a route, and [`requests`] the
//! requests of a type. [`lingering`] lets clients see why a body was refused, and [`unreadable`] why a request was.

mod admin;
mod admin_state;
mod answer;
mod answering;
mod app;
mod backup;
mod body;
mod body_turns;
mod budget;
mod call;
mod callbacks;
mod connection;
mod connections;
mod dead_letters;
mod deploy;
mod effects;
mod encoding;
mod event_retries;
mod events;
mod framing;
mod head;
mod head_filter;
mod head_timer;
mod host_seal;
mod inputs;
mod json_answer;
mod lingering;
mod log_limit;
mod logs;
mod metrics;
mod openapi;
mod query;
mod rate;
mod requests;
mod server;
mod socket;
mod subscriptions;
mod token;
mod top;
mod unreadable;
mod upload;
mod versions;

pub use admin::{AdminOptions, router as admin_router};
pub use admin_state::AdminState;
pub use answer::call_status;
pub use app::{AppOptions, AppRouter, SidecarSide, router as app_router};
pub use host_seal::HostSeal;
pub use requests::Requests;
pub use server::{PortService, Server, ServerOptions, listen};
pub use subscriptions::Subscriptions;
pub use token::{AdminToken, AppToken};

/// The application's port.
pub type AppServer = Server<AppRouter>;
/// The operator's port.
pub type AdminServer = Server<axum::Router>;

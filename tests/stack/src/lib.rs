//! The real servers around the host, on loopback: Redis, Kafka, Dapr's control plane and sidecars, and the edge of Twilio.
//!
//! What the host does through Dapr is only as good as Dapr's own reading of it, so the tests, and a person who tries the
//! project on a laptop, speak to the servers that production has, without a container engine. Every server is a process
//! that dies with the one that started it, and can be stopped, killed, paused and started again with its data, because
//! what the project promises is about such days.
//!
//! [`Stack`] starts the servers that all hosts share; [`Stack::host`] adds a host with its sidecar. One module stands for
//! each server; [`build`] makes or finds the programs, and [`manifests`] has parts of the manifests of their hosts. The
//! processes, their ports and the waits for them are those of `daca-tests`.

pub mod app;
pub mod build;
mod command;
pub mod kafka;
pub mod manifests;
mod packages;
pub mod placement;
pub mod redis;
mod release;
pub mod resources;
pub mod running;
pub mod scheduler;
pub mod sidecar;
pub mod stack;
pub mod twilio;

pub use app::{App, AppOptions};
pub use kafka::Kafka;
pub use placement::Placement;
pub use redis::Redis;
pub use scheduler::Scheduler;
pub use sidecar::{Sidecar, SidecarOptions, SidecarPorts, Tokens};
pub use stack::{APP_ID, Fronts, HostOptions, HostWithSidecar, Stack, StackOptions};
pub use twilio::{Behaviour, Sms, Twilio};

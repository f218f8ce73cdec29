//! What an agent's author imports.
//!
//! An agent is a struct with methods. The host runs one instance of it for each active actor, one call at a time, and
//! commits what a method wrote when it returns `Ok`.
//!
//! ```
//! use daca_sdk::{Failure, agent, state};
//!
//! #[derive(Default)]
//! struct Counter;
//!
//! #[agent]
//! impl Counter {
//!     /// Adds to the sum and answers it.
//!     pub fn add(&mut self, amount: u64) -> Result<u64, Failure> {
//!         let sum = state::get::<u64>("sum")?.unwrap_or(0).checked_add(amount);
//!         let sum = sum.ok_or_else(|| Failure::invalid("the sum would be too large"))?;
//!         state::set("sum", &sum)?;
//!         Ok(sum)
//!     }
//! }
//! ```
//!
//! With this `Cargo.toml`, `cargo build --target wasm32-wasip2 --release` makes the component: it is
//! `target/wasm32-wasip2/release/counter.wasm`. (Once: `rustup target add wasm32-wasip2`.)
//!
//! ```toml
//! [package]
//! name = "counter"
//! edition = "2024"
//!
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! daca-sdk = { path = "guest/sdk" }
//! serde = { version = "1", features = ["derive"] } # for types of your own
//! ```
//!
//! # What lasts
//!
//! Only [`state`] does. The struct lives in the instance's memory, which may vanish between any two calls, and does
//! vanish after a call that failed: keep in it what can be worked out again, and work it out in a method marked
//! `#[activate]`. See [`agent`] for that and the other hooks.
//!
//! # New versions
//!
//! The host can swap an agent's component while actors of it exist: their state stays. A version that keeps its state
//! in another shape has a function marked `#[migrate]`, which the host calls once for each actor, with a [`Migration`],
//! in the actor's first call on that version. See [`agent`].
//!
//! # All or nothing
//!
//! Within a call, writes ([`state`]), events ([`pubsub`]), one-way calls of bindings ([`bindings::send`]),
//! [`reminders`] and [`timers`] are staged. They happen together when the method returns `Ok`; when it returns a
//! [`Failure`], panics or exceeds a limit, none of them does. [`bindings::invoke`] and [`actors::invoke`] act at once.
//!
//! # Errors
//!
//! What the host refuses is an [`Error`]; what the agent answers to its caller is a [`Failure`]. `?` turns the first
//! into the second: it becomes [`Failure::Failed`], a status 500. Match on the error where that is not what it means.

pub mod actors;
pub mod bindings;
pub mod config;
pub mod identity;
pub mod log;
pub mod pubsub;
pub mod reminders;
pub mod secrets;
pub mod state;
pub mod timers;

mod effect;
mod error;
mod json;
mod migration;
#[doc(hidden)]
pub mod rt;
mod schedule;

pub use daca_sdk_macros::agent;

pub use crate::effect::Effect;
pub use crate::error::{Error, Failure};
pub use crate::migration::Migration;
pub use crate::schedule::Schedule;

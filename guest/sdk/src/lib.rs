//! The SDK for agents in Rust.
//!
//! An agent is a struct with methods. The host runs one call of an actor at a time, unless its type permits nested
//! turns, and commits a method's writes when it returns `Ok`.
//!
//! ```
//! use daca_sdk::{Failure, agent, state};
//!
//! #[derive(Default)]
//! struct Counter;
//!
//! #[agent]
//! impl Counter {
//!     /// Adds to the sum and returns it.
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
//! # Durability
//!
//! Only [`state`] is durable. The struct lives in the instance's memory, which may be lost between any two calls, and
//! is always lost after a call that failed. Keep in it only values that can be computed again, and compute them in a
//! function marked `#[activate]`. [`agent`] describes this and the other hooks.
//!
//! # New versions
//!
//! The host can swap an agent's component while actors of it exist. Their state stays. A version with another schema
//! has a function marked `#[migrate]`. The host calls it once for each actor, with a [`Migration`], in the actor's
//! first call on that version. See [`agent`].
//!
//! # All or nothing
//!
//! Within a call, writes ([`state`]), events ([`pubsub`]), one-way calls of bindings ([`bindings::send`]),
//! [`reminders`] and [`timers`] are staged. They take effect only if the method returns `Ok`. When it returns a
//! [`Failure`], panics or exceeds a limit, they are discarded. [`bindings::invoke`] and [`actors::invoke`] take effect
//! at once.
//!
//! # Effects that fail
//!
//! Events and sent bindings leave after the call, so the call cannot know whether they arrive. The host retries them, and
//! then gives them up. An agent that wants to know has a function marked `#[effect_failed]`. It gets a [`FailedEffect`] and
//! the reason. See [`agent`].
//!
//! # Errors
//!
//! The host reports an [`Error`] to the agent; the agent reports a [`Failure`] to its caller. `?` converts the first into
//! the second: it becomes [`Failure::Failed`], status 500. Match on the error where that is not the right answer.

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
mod failed_effect;
mod json;
mod migration;
#[doc(hidden)]
pub mod rt;
mod schedule;

pub use daca_sdk_macros::agent;

pub use crate::effect::Effect;
pub use crate::error::{Error, Failure};
pub use crate::failed_effect::{EffectRequest, FailedEffect};
pub use crate::migration::Migration;
pub use crate::schedule::Schedule;

/// The agents that the documents show, as doc tests.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/guide/write-an-agent.md")]
    struct WriteAnAgent;
    #[doc = include_str!("../../../docs/concepts/effects.md")]
    struct Effects;
    #[doc = include_str!("../../../docs/concepts/schema-migration.md")]
    struct SchemaMigration;
}

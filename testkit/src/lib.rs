//! Tests of agents, in process: the real runtime, the real embedded backend and the real component. Only the sockets are missing.
//!
//! ```no_run,test_harness
//! use std::time::Duration;
//!
//! use daca_testkit::Host;
//! use serde_json::json;
//!
//! #[tokio::test]
//! async fn a_day_later_the_counter_begins_anew() -> Result<(), Box<dyn std::error::Error>> {
//!     let host = Host::embedded()
//!         .agent("Counter", "target/wasm32-wasip2/release/counter.wasm")
//!         .setting("Counter", "reset-every-seconds", "86400")
//!         .start()
//!         .await?;
//!
//!     assert_eq!(host.call("Counter/a", "Add", &2).await?, 2);
//!     assert_eq!(host.state("Counter/a").await?["sum"], 2);
//!
//!     let refused = host.call("Counter/a", "Add", &json!("two")).await.expect_err("it is no number");
//!     assert_eq!(refused.code(), "invalid");
//!
//!     host.advance(Duration::from_secs(86_400)).await?;
//!     assert!(host.state("Counter/a").await?.is_empty());
//!     Ok(())
//! }
//! ```
//!
//! # What a test sees
//!
//! [`Host::call`] calls a method as somebody from outside would. [`Host::get`], [`Host::post`] and [`Host::request`] do so by the
//! manifest's routes.
//!
//! [`Host::state`], [`Host::reminders`], [`Host::timers`], [`Host::events`] and [`Host::bindings`] show what the agents left
//! behind. Each of them first waits until everything that is under way has ended: reminders that are due, and events on their way
//! to the manifest's subscriptions. So a test needs no sleeps.
//!
//! Output bindings answer what the test says ([`HostBuilder::binding_response`], [`Host::answer_binding`]), also that they
//! cannot be reached ([`BindingAnswer::unavailable`]).
//!
//! # Time
//!
//! The clock of a host stands still until [`Host::advance`] moves it. By it reminders and timers fire and values with a time to
//! live expire, and it is what the agent itself reads (`SystemTime::now()`). Each host has its own, so tests run side by side.
//!
//! Everything else goes by the real time: a turn's `turn-time` and `running-time`, the analysis of canaries, and the wait before
//! an effect is tried again, which is one millisecond here. Actors are never deactivated for being idle; [`Host::deactivate_all`] does it. tokio's paused
//! clock (`start_paused`) does not work here: it jumps to the next time-out as soon as all tasks wait, and a task that waits for
//! the thread that writes the state file, or for a guest on another thread, looks as if nothing would ever happen.
//!
//! # Bounds
//!
//! Every wait ends after [`HostBuilder::timeout`] with [`Error::TimedOut`].

mod answer;
mod builder;
mod component;
mod deploy;
mod error;
mod host;
mod inbound;
mod manifest;
mod recorder;
mod routes;
mod seen;

pub use answer::BindingAnswer;
pub use builder::HostBuilder;
pub use error::{CallFailed, Error, StartError};
pub use host::Host;
pub use manifest::Permit;
pub use routes::Response;
pub use seen::{BindingCall, Event, How, Wakeup};

/// The tests that the documents show, as doc tests. Without `test_harness` the compiler would leave out what is marked as a test.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../docs/guide/test-an-agent.md")]
    struct TestAnAgent;
    #[doc = include_str!("../../examples/counter/README.md")]
    struct Counter;
    #[doc = include_str!("../../examples/weather/README.md")]
    struct Weather;
}

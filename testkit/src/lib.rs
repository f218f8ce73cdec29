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
//!     let refused = host.call("Counter/a", "Add", &json!("two")).await.expect_err("it is not a number");
//!     assert_eq!(refused.code(), "invalid");
//!
//!     host.advance(Duration::from_secs(86_400)).await?;
//!     assert!(host.state("Counter/a").await?.is_empty());
//!     Ok(())
//! }
//! ```
//!
//! # Calls and results
//!
//! [`Host::call`] calls a method as a caller from outside would. [`Host::get`], [`Host::post`] and [`Host::request`] do so
//! through the manifest's routes.
//!
//! [`Host::state`], [`Host::reminders`], [`Host::timers`], [`Host::events`] and [`Host::bindings`] show what the agents left
//! behind. Each of them first waits until nothing is under way: no reminder is due, and no event is on its way to a
//! subscription of the manifest. So a test needs no sleeps.
//!
//! Output bindings answer what the test says ([`HostBuilder::binding_response`], [`Host::answer_binding`]), also that they
//! cannot be reached ([`BindingAnswer::unavailable`]) or refuse ([`BindingAnswer::invalid`]). What was sent to a binding then is
//! among [`Host::pending_effects`] until it is tried again, or among [`Host::dead_letters`], and the agent's `#[effect_failed]`
//! has run.
//!
//! # Time
//!
//! The clock of a host stands still until [`Host::advance`] moves it. Reminders, timers, times to live and the tries of effects
//! follow this clock, and so does the agent's own `SystemTime::now()`. Each host has its own clock, so tests can run in parallel.
//!
//! Everything else follows real time: `turn-time` and `running-time`, canary analysis, and the wait before a subscription
//! gets an event again, which is one millisecond here. Idle actors are not deactivated; use [`Host::deactivate_all`]. tokio's paused clock
//! (`start_paused`) does not work here: it jumps to the next time-out as soon as all tasks wait, even if they wait for another
//! thread, such as the one that writes the state file.
//!
//! # Bounds
//!
//! Every wait ends after [`HostBuilder::timeout`] with [`Error::TimedOut`].

mod answer;
mod builder;
mod component;
mod deploy;
mod effects;
mod error;
mod host;
mod inbound;
mod manifest;
mod recorder;
mod routes;
mod seen;

pub use answer::BindingAnswer;
pub use builder::HostBuilder;
pub use effects::{DeadLetter, PendingEffect};
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

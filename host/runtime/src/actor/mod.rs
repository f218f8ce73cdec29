//! Actors: addressing, one turn at a time for each, and the outcome of a turn.
//!
//! A call passes through this module in a straight line: [`Actors`] finds or creates the [`record`] of the activation
//! ([`table`], [`active_actors`]), the call waits in its queue ([`activation`]), the turn runs in an instance and
//! commits ([`turn`]) while the [`lease`] of the actor is held, and its effects leave in order ([`delivery`]).
//! [`effect_log`] keeps them until then, whatever dies. In [`effect_turns`] of the host, one actor of a [`work_queue`]
//! after the other, effects that were given up become dead letters, agents are told of them, and what has left is removed
//! from the store. [`effect_admin`] is the operators' door to effects, [`dead_letter_index`] says which actors have dead
//! letters, and [`late_effects`] whose effects wait. [`in_doubt`] resolves commits in doubt, whose answer was lost.
//! [`schema`] records the schema of the stored state. [`dedup_log`] is the dedup log, [`stored_format`] has what is
//! common to all of these values between releases, and [`recent_calls`] has the calls of the last seconds.
//! [`smoke_test`] smoke-tests a version before it serves. [`live`] keeps the number of live instances within the
//! machine's limits, and [`memory`] the host within its budget: [`idle_memory`] evicts what is worth
//! least, and [`kept_instances`] says how many cheap instances are kept.
//! [`durations`] has the histograms of the metrics, [`processors`] what turns have of the processors, and [`top`] the
//! actors that use most, as [`usage_sampler`] compares them.

mod activation;
mod active_actors;
mod agent;
mod attempts;
mod dead_letter_index;
mod dedup_log;
mod delivery;
mod durations;
mod effect_admin;
mod effect_log;
mod effect_turns;
mod idle_entries;
mod idle_list;
mod idle_memory;
mod in_doubt;
mod info;
mod kept_instances;
mod late_effects;
mod lease;
mod live;
mod mark_log;
mod marks;
mod memory;
mod outdated;
mod processors;
mod recent_calls;
mod reclaim_list;
mod record;
mod replies;
mod request_hash;
mod schema;
mod services;
mod smoke_test;
mod stored_format;
mod table;
mod top;
mod turn;
mod usage_sampler;
mod warm_state;
mod work;
mod work_queue;
mod worth;

pub use agent::{AgentRuntime, DeadLetterCounters, DeadLetterCounts};
pub use delivery::{Deliveries, DeliveryOptions, RetryPolicy};
pub use durations::{DurationCounts, DurationHistogram, Durations};
pub use effect_admin::EffectActorsPage;
pub use info::{AgentLoad, AgentStatistics};
pub use live::DEFAULT_LIVE_INSTANCES;
pub use services::{ActorsOptions, HostServices};
pub use smoke_test::SmokeTestFailure;
pub use table::Actors;
pub use top::{TopFound, TopWanted};

use daca_model::{ActorAddress, CallContext, CallError, CallIdentity};

/// Parses values of the host's own keys of an actor's state, and serialises the result again. For fuzzing.
pub fn read_stored(value: &bytes::Bytes) {
    if let Ok(mut marks) = marks::Marks::read("k", Some(value.clone())) {
        marks.add(marks::Mark::of_call("id", u32::MAX));
        let _written = marks.text();
    }
    if let Ok(replies) = replies::Replies::read("k", Some(value.clone())) {
        let request = request_hash::RequestHash::new("Method", value);
        let _written = replies.with("id", request, value, u32::MAX).text();
    }
    if let Ok(attempts) = attempts::Attempts::read("k", Some(value)) {
        let _written = attempts.with("mark", value, u32::MAX).text();
    }
    let _label = schema::read_label(value);
    effect_log::read_stored(value);
}

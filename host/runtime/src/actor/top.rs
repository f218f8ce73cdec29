//! The actors that use most, for inspection.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use daca_base::clock::millis;
use daca_model::admin::{ActorTotals, TopActor, TopOrder};
use tokio::time::Instant;

use super::Actors;
use super::info::AgentLoad;
use super::record::{Activation, Snapshot};
use super::usage_sampler::Totals;

/// The candidates beyond the wanted number among which the first ones are searched at a time.
const SPARE: usize = 1_000;

/// Which actors are wanted.
#[derive(Debug, Clone)]
pub struct TopWanted {
    /// Of this agent type alone.
    pub agent_type: Option<Arc<str>>,
    /// The order.
    pub by: TopOrder,
    /// The maximum number.
    pub limit: usize,
}

/// What a look at all actors has found.
#[derive(Debug)]
pub struct TopFound {
    /// The moment since which `lately` of the actors counts.
    pub since: Duration,
    /// The wanted actors, those that use most first.
    pub actors: Vec<TopActor>,
    /// The load of each agent type with active actors.
    pub loads: HashMap<Arc<str>, AgentLoad>,
}

/// An actor, as it was found.
struct Found {
    activation: Arc<Activation>,
    snapshot: Snapshot,
    lately: Totals,
}

impl Actors {
    /// Looks at all actors, at this moment of a clock that goes forward evenly. It locks each once, so it is not for a
    /// thread that serves: there may be many. One look follows the other.
    pub fn top(&self, query: &TopWanted, now: Duration) -> TopFound {
        let look = self.services.active.sampler.begin(now);
        let instant = Instant::now();
        let mut loads = HashMap::<Arc<str>, AgentLoad>::new();
        let mut found = Vec::new();
        for activation in self.services.active.all() {
            let (snapshot, lately) = activation.look(instant, &look);
            let agent_type = &activation.address.agent_type;
            loads.entry(agent_type.clone()).or_default().add(&snapshot);
            if query.agent_type.as_ref().is_none_or(|wanted| wanted == agent_type) {
                found.push(Found { activation, snapshot, lately });
            }
            if found.len() >= query.limit.saturating_add(SPARE) {
                keep_first(&mut found, query);
            }
        }
        keep_first(&mut found, query);
        let actors = found.into_iter().map(Found::shown).collect();
        TopFound { since: look.since, actors, loads }
    }
}

/// Drops all but the first ones, and puts these in order.
fn keep_first(found: &mut Vec<Found>, query: &TopWanted) {
    found.sort_by(|one, other| one.compare(other, query.by));
    found.truncate(query.limit);
}

impl Found {
    fn compare(&self, other: &Found, by: TopOrder) -> Ordering {
        let rank = |found: &Found| {
            let Found { snapshot, lately, .. } = found;
            Reverse((found.measure(by), snapshot.queued, snapshot.is_running, lately.turns))
        };
        rank(self).cmp(&rank(other)).then_with(|| self.activation.address.cmp(&other.activation.address))
    }

    fn measure(&self, by: TopOrder) -> u64 {
        match by {
            TopOrder::Processor => self.lately.processor,
            TopOrder::Memory => self.snapshot.memory,
            TopOrder::Turns => self.lately.turns,
            TopOrder::Queued => self.snapshot.queued as u64,
            TopOrder::LogBytes => self.lately.logged,
        }
    }

    fn shown(self) -> TopActor {
        let Found { activation, snapshot, lately } = self;
        TopActor {
            agent_type: activation.address.agent_type.clone(),
            actor_id: activation.address.id.clone(),
            running: snapshot.is_running,
            queued: snapshot.queued,
            instance: snapshot.has_instance,
            memory: snapshot.memory,
            lately: totals(lately),
            total: totals(snapshot.totals),
        }
    }
}

fn totals(totals: Totals) -> ActorTotals {
    ActorTotals {
        processor_ms: millis(Duration::from_nanos(totals.processor)),
        turns: totals.turns,
        log_bytes: totals.logged,
    }
}

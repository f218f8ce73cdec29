//! The active actors: the activation of each, and which of them are idle.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use daca_base::memory::MemoryBudget;
use daca_base::shares::{SharedPool, Weights};
use daca_model::ActorAddress;
use parking_lot::Mutex;

use super::agent::AgentRuntime;
use super::idle_list::IdleList;
use super::record::Activation;
use super::usage_sampler::UsageSampler;

/// The activations that are copied at a time by who looks at all of them. Each call needs the table meanwhile.
const SLICE: usize = 1_000;

/// All activations of a host.
pub(super) struct ActiveActors {
    /// Counts them, and says of which type the next one is deactivated early.
    counted: SharedPool,
    /// The idle ones of each agent type.
    idle: BTreeMap<Arc<str>, IdleList>,
    table: Mutex<Table>,
    /// When somebody looked at all of them.
    pub(super) sampler: UsageSampler,
}

/// The activations, twice.
#[derive(Default)]
struct Table {
    /// For calls.
    by_address: HashMap<ActorAddress, Arc<Activation>>,
    /// For those who look at all of them: they continue after an address.
    in_order: BTreeMap<ActorAddress, Arc<Activation>>,
}

impl ActiveActors {
    /// Starts without any. Beyond `most`, idle ones are deactivated early.
    pub(super) fn new(most: usize, weights: &Weights) -> ActiveActors {
        ActiveActors {
            counted: SharedPool::new("active actors", most, weights),
            idle: weights.iter().map(|(name, _)| (name.clone(), IdleList::default())).collect(),
            table: Mutex::default(),
            sampler: UsageSampler::default(),
        }
    }

    /// The activation of an actor, created if there is none; and whether another one is to be deactivated for it.
    pub(super) fn activation(
        &self,
        address: &ActorAddress,
        agent: &Arc<AgentRuntime>,
        memory: &MemoryBudget,
    ) -> (Arc<Activation>, bool) {
        if let Some(activation) = self.get(address) {
            // An existing one needs no eviction.
            return (activation, false);
        }
        // Not under the table's lock: a refusal may write a line of the log.
        let (counted, is_one_too_many) = match self.counted.try_acquire(&address.agent_type, 1) {
            Ok(counted) => (counted, false),
            // A call is not refused for it: the turns in flight bound the actors that are not idle.
            Err(_) => (self.counted.charge(&address.agent_type, 1), true),
        };
        let mut table = self.table.lock();
        if let Some(activation) = table.by_address.get(address) {
            // Another call was faster.
            return (activation.clone(), false);
        }
        let activation = Activation::new(address.clone(), agent.clone(), counted, memory);
        table.by_address.insert(address.clone(), activation.clone());
        table.in_order.insert(address.clone(), activation.clone());
        (activation, is_one_too_many)
    }

    /// Removes an ended activation.
    pub(super) fn forget(&self, activation: &Arc<Activation>) {
        let (mut table, address) = (self.table.lock(), &activation.address);
        if table.by_address.get(address).is_some_and(|present| Arc::ptr_eq(present, activation)) {
            table.by_address.remove(address);
            table.in_order.remove(address);
        }
    }

    /// The idle activations of an agent type.
    pub(super) fn idle_of(&self, agent: &AgentRuntime) -> Option<&IdleList> {
        self.idle_of_type(&agent.agent.name)
    }

    /// The same by the name of the type.
    pub(super) fn idle_of_type(&self, agent_type: &str) -> Option<&IdleList> {
        self.idle.get(agent_type)
    }

    /// What the types share.
    pub(super) fn pool(&self) -> &SharedPool {
        &self.counted
    }

    /// The activation of an actor.
    pub(super) fn get(&self, address: &ActorAddress) -> Option<Arc<Activation>> {
        self.table.lock().by_address.get(address).cloned()
    }

    /// Returns `true` if the actor is active.
    pub(super) fn contains(&self, address: &ActorAddress) -> bool {
        self.table.lock().by_address.contains_key(address)
    }

    /// The number of active actors.
    pub(super) fn len(&self) -> usize {
        self.table.lock().by_address.len()
    }

    /// All activations in the order of their addresses, each once. They may change meanwhile: of those that begin or end,
    /// some are left out.
    pub(super) fn all(&self) -> impl Iterator<Item = Arc<Activation>> {
        let mut last = None::<ActorAddress>;
        let slices = std::iter::from_fn(move || {
            let slice = self.after(last.as_ref());
            last = Some(slice.last()?.address.clone());
            Some(slice)
        });
        slices.flatten()
    }

    /// The first activations after an address.
    fn after(&self, address: Option<&ActorAddress>) -> Vec<Arc<Activation>> {
        let mut slice = Vec::with_capacity(SLICE);
        let after = (address.map_or(Bound::Unbounded, Bound::Excluded), Bound::<&ActorAddress>::Unbounded);
        let table = self.table.lock();
        slice.extend(table.in_order.range::<ActorAddress, _>(after).take(SLICE).map(|(_, it)| it.clone()));
        slice
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeBackend, FakeHost, actor};

    /// There may be hundreds of thousands.
    #[tokio::test(start_paused = true)]
    async fn whoever_looks_at_all_actors_leaves_the_table_to_calls_in_between() {
        let host = FakeHost::start(FakeBackend::sound()).await;
        let (active, memory) = (&host.actors.services.active, MemoryBudget::unlimited());
        let agent = host.actors.runtimes().values().next().expect("it has a type");
        let begin = |number: usize| active.activation(&actor(&format!("{number:05}")), agent, &memory).0;
        let activations = (0..2 * SLICE + 10).map(|number| begin(2 * number)).collect::<Vec<_>>();
        let last = activations.len() - 1;
        assert_eq!(active.after(None).len(), SLICE);

        let mut all = active.all();
        let first = all.next().expect("it is active");
        // One behind the place of the look, one before it, and one that is gone when the look gets there.
        let [_behind, before] = [1, 2 * last + 1].map(begin);
        active.forget(&activations[last]);
        let seen = [first].into_iter().chain(all).map(|found| found.address.clone()).collect::<Vec<_>>();
        let expected = activations[..last].iter().chain([&before]).map(|found| found.address.clone());
        assert_eq!(seen, expected.collect::<Vec<_>>());
        assert_eq!(active.len(), activations.len() + 1);
    }
}

//! The handle to a budget.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::account::{AccountId, MemoryAccount, MemoryKind};
use super::reservation::Reservation;
use super::shared::{ProcessSize, Reclaim, Shared};
use crate::shares::Weights;

/// A cheap handle to the budget.
#[derive(Clone)]
pub struct MemoryBudget {
    shared: Arc<Shared>,
}

impl MemoryBudget {
    /// A budget of so many bytes, which the agent types divide by their weights.
    pub fn new(limit: u64, weights: &Weights) -> MemoryBudget {
        MemoryBudget { shared: Arc::new(Shared::new(limit, weights)) }
    }

    /// A budget that refuses nothing, for commands and tests.
    pub fn unlimited() -> MemoryBudget {
        MemoryBudget::new(u64::MAX, &Weights::default())
    }

    /// Sets what gives up idle things. The first one stays.
    pub fn reclaim_from(&self, reclaim: Weak<dyn Reclaim>) {
        self.shared.reclaim.set(reclaim).ok(); // another one is there
    }

    /// An empty reservation. An agent type without an account counts as the host's own.
    pub fn reservation(&self, kind: MemoryKind, agent_type: Option<&str>) -> Reservation {
        let number = agent_type.map(|name| self.shared.parts.number_of(name)).unwrap_or_default();
        let account = AccountId { kind, number };
        Reservation::empty(self.shared.clone(), account)
    }

    /// The bytes of the budget.
    pub fn limit(&self) -> u64 {
        self.shared.limit
    }

    /// The sum of all reservations.
    pub fn reserved(&self) -> u64 {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// The resident size when it was last measured.
    pub fn resident(&self) -> u64 {
        self.shared.process.resident.load(Ordering::Relaxed)
    }

    /// The number of idle things that were evicted.
    pub fn evicted(&self) -> u64 {
        self.shared.reclaimed.load(Ordering::Relaxed)
    }

    /// The number of requests that were refused: to the host itself, which has no name, and to each agent type.
    pub fn refused(&self) -> Vec<(Option<Arc<str>>, u64)> {
        self.owners().map(|(agent_type, number)| (agent_type, self.shared.refused(number).times())).collect()
    }

    /// The bytes of one kind, over all agent types.
    pub fn of_kind(&self, kind: MemoryKind) -> u64 {
        self.shared.accounts.iter().map(|account| account.of(kind)).sum()
    }

    /// The bytes of one kind that an agent type has.
    pub fn of_type(&self, kind: MemoryKind, agent_type: &str) -> u64 {
        let number = self.shared.parts.number_of(agent_type);
        self.shared.accounts.get(number as usize).map(|account| account.of(kind)).unwrap_or_default()
    }

    /// The part of the budget that an agent type has by its weight.
    pub fn share(&self, agent_type: &str) -> u64 {
        self.shared.parts.share(self.shared.parts.number_of(agent_type))
    }

    /// All accounts: those of the host, and those of each agent type.
    pub fn accounts(&self) -> Vec<MemoryAccount> {
        let kinds = |(agent_type, number): (Option<Arc<str>>, u32)| {
            let is_its = if agent_type.is_some() { MemoryKind::is_of_type } else { MemoryKind::is_of_host };
            let kinds = MemoryKind::ALL.into_iter().filter(move |kind| is_its(*kind));
            kinds.map(move |kind| (agent_type.clone(), number, kind)).collect::<Vec<_>>()
        };
        let account = |(agent_type, number, kind): (Option<Arc<str>>, u32, MemoryKind)| {
            let bytes =
                self.shared.accounts.get(number as usize).map(|account| account.of(kind)).unwrap_or_default();
            MemoryAccount { agent_type, kind, bytes }
        };
        self.owners().flat_map(kinds).map(account).collect()
    }

    /// The host itself and the agent types, with the numbers of their accounts.
    fn owners(&self) -> impl Iterator<Item = (Option<Arc<str>>, u32)> {
        let types = self.shared.parts.types().map(|(name, number)| (Some(name.clone()), number));
        std::iter::once((None, 0)).chain(types)
    }

    /// Returns the bytes by which the budget is exceeded.
    pub fn excess(&self) -> u64 {
        let Shared { limit, used, process: ProcessSize { rest, .. }, .. } = &*self.shared;
        used.load(Ordering::Relaxed).saturating_add(rest.load(Ordering::Relaxed)).saturating_sub(*limit)
    }

    /// Notes the resident size of the process.
    pub fn measured(&self, resident: u64) {
        let shared = &*self.shared;
        shared.process.resident.store(resident, Ordering::Relaxed);
        shared.process.rest.store(resident.saturating_sub(self.reserved()), Ordering::Relaxed);
        shared.freed();
    }

    /// Gives up idle things of the agent types beyond their floors, until so many bytes of reservations are gone, or
    /// nothing of theirs is idle.
    pub fn evict(&self, bytes: u64) {
        self.shared.evict(0, bytes);
    }

    /// Something has become idle: who waits may have what it holds.
    pub fn became_idle(&self) {
        self.shared.freed();
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget")
            .field("limit", &self.limit())
            .field("reserved", &self.reserved())
            .finish_non_exhaustive()
    }
}

//! How the agent types divide a budget: the same rules as those of a shared pool ([`crate::shares`]).
//!
//! A quarter of the budget is divided in advance. Each type has a floor there, by its weight, which no other type can use;
//! so what a type holds for long is never all that there is. A share is the part of the whole budget by weight, and
//! decides who comes first.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::shares::Weights;
use crate::shares::part::{DIVIDED, part};

/// One part in so many of the budget is only for small bodies of no agent type, which have no floor.
const FOR_BODIES: u64 = 32;

/// The parts of a budget. Accounts are numbered: 0 is the host's own, and each agent type has one of the next.
pub(super) struct Parts {
    numbers: BTreeMap<Arc<str>, u32>,
    /// For each account.
    of_accounts: Vec<Part>,
    /// What is only for small bodies of no agent type.
    pub(super) for_bodies: u64,
    /// The sum of all floors, and of what is for those bodies.
    pub(super) divided: u64,
}

/// The part of one agent type.
struct Part {
    weight: u64,
    floor: u64,
    share: u64,
}

impl Parts {
    pub(super) fn new(limit: u64, weights: &Weights) -> Parts {
        let all = weights.iter().map(|(_, weight)| u64::from(weight)).sum::<u64>();
        let numbers = weights
            .iter()
            .zip(1..)
            .map(|((name, _), number)| (name.clone(), number))
            .collect::<BTreeMap<_, _>>();
        // One type alone has no need of a floor.
        let is_divided = numbers.len() > 1;
        let floor =
            |weight: u64| if is_divided { part(limit, weight, all.saturating_mul(DIVIDED)) } else { 0 };
        let of_type = |(_, weight): (&Arc<str>, u32)| {
            let weight = u64::from(weight);
            Part { weight, floor: floor(weight), share: part(limit, weight, all) }
        };
        // What the host has for itself is no type's, and waits for none.
        let own = Part { weight: 1, floor: 0, share: limit };
        let of_accounts = std::iter::once(own).chain(weights.iter().map(of_type)).collect::<Vec<_>>();
        let for_bodies = if is_divided { limit / FOR_BODIES } else { 0 };
        let divided = of_accounts.iter().map(|part| part.floor).fold(for_bodies, u64::saturating_add);
        Parts { numbers, of_accounts, for_bodies, divided }
    }

    /// How many accounts there are.
    pub(super) fn accounts(&self) -> usize {
        self.of_accounts.len()
    }

    /// The agent types, with the numbers of their accounts.
    pub(super) fn types(&self) -> impl Iterator<Item = (&Arc<str>, u32)> {
        self.numbers.iter().map(|(name, number)| (name, *number))
    }

    /// Returns `true` if there is more than one agent type to divide the budget.
    pub(super) fn is_divided(&self) -> bool {
        self.numbers.len() > 1
    }

    /// The agent type of an account. `None` for the host's own.
    pub(super) fn type_of(&self, number: u32) -> Option<&Arc<str>> {
        self.types().find(|(_, of_type)| *of_type == number).map(|(name, _)| name)
    }

    /// The number of an agent type's account. One that is not known counts as the host's own.
    pub(super) fn number_of(&self, agent_type: &str) -> u32 {
        self.numbers.get(agent_type).copied().unwrap_or_default()
    }

    /// The floors of the agent types.
    pub(super) fn floors(&self) -> impl Iterator<Item = (u32, u64)> {
        (0..).zip(&self.of_accounts).skip(1).map(|(number, part)| (number, part.floor))
    }

    /// The bytes that an account has a right to, whatever others have.
    pub(super) fn floor(&self, number: u32) -> u64 {
        self.part(number).map_or(0, |part| part.floor)
    }

    /// The part of an account of the whole budget.
    pub(super) fn share(&self, number: u32) -> u64 {
        self.part(number).map_or(0, |part| part.share)
    }

    /// The weight of an account.
    pub(super) fn weight(&self, number: u32) -> u64 {
        self.part(number).map_or(1, |part| part.weight)
    }

    /// What another account has for its weight, if it has as much as this one with so many bytes.
    pub(super) fn as_much(&self, number: u32, used: u64, other: u32) -> u64 {
        part(used, self.weight(other), self.weight(number))
    }

    fn part(&self, number: u32) -> Option<&Part> {
        self.of_accounts.get(number as usize)
    }
}

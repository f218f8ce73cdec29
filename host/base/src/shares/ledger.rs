//! The books of a pool: who has how much of it, and who may have more.
//!
//! A quarter of the pool is divided in advance: each type has a floor, by its weight, which no other type can use. The
//! rest is common. So what is held for long, such as live instances, cannot all be taken before the others come. The
//! share of a type is its part of the whole pool by weight, and decides who comes first when the common part is wanted.
//! There is no lock and no clock here, so that a test can compare it with a model.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Weights;
use super::part::{self, DIVIDED};
use super::slack::Slack;

/// What each type has of a pool.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) capacity: usize,
    /// The sum of the floors.
    floors: usize,
    /// The types by name, and at the end all that the pool does not know.
    slots: Vec<Slot>,
    /// What all have together, for those who do not hold the lock.
    pub(super) slack: Arc<Slack>,
}

/// What one type has.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) agent_type: Arc<str>,
    weight: u32,
    /// What no other type can use.
    pub(super) floor: usize,
    pub(super) share: usize,
    pub(super) used: usize,
    /// All that it ever took.
    pub(super) total: u64,
}

impl Ledger {
    pub(super) fn new(capacity: usize, weights: &Weights) -> Ledger {
        let all = weights.iter().map(|(_, weight)| u64::from(weight)).sum::<u64>();
        let types = weights.iter().count();
        // One type alone has no need of a floor, and the smallest pools have no room for them.
        let has_floors = types > 1 && capacity >= types * 2;
        let floor = |weight: u32| part(capacity, weight, all.saturating_mul(DIVIDED)).max(1);
        let mut slots = Vec::with_capacity(types + 1);
        for (name, weight) in weights.iter() {
            let floor = if has_floors { floor(weight) } else { 0 };
            let share = part(capacity, weight, all).max(1);
            slots.push(Slot { agent_type: name.clone(), weight, floor, share, used: 0, total: 0 });
        }
        let share = part(capacity, 1, all.saturating_add(1)).max(1);
        slots.push(Slot { agent_type: "".into(), weight: 1, floor: 0, share, used: 0, total: 0 });
        let floors = slots.iter().map(|slot| slot.floor).sum();
        let smallest_share = slots.iter().map(|slot| slot.share).min().unwrap_or_default();
        let slack = Arc::new(Slack::new(capacity.saturating_sub(floors), smallest_share));
        Ledger { capacity, floors, slots, slack }
    }

    /// The number of a type's slot.
    pub(super) fn slot_of(&self, agent_type: &str) -> usize {
        let unknown = self.slots.len() - 1;
        let found = self.slots[..unknown].binary_search_by(|slot| (*slot.agent_type).cmp(agent_type));
        found.unwrap_or(unknown)
    }

    pub(super) fn slot(&self, number: usize) -> &Slot {
        &self.slots[number]
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// What all types have together.
    pub(super) fn used(&self) -> usize {
        self.slots.iter().map(|slot| slot.used).fold(0, usize::saturating_add)
    }

    /// The most that a type can have: never the floors of the others.
    pub(super) fn most(&self, of: usize) -> usize {
        self.capacity.saturating_sub(self.floors) + self.slots[of].floor
    }

    /// Returns `true` if a type can have so much more, with the floors of the others kept free. `times` is the multiple of
    /// the pool that counts.
    pub(super) fn has_room(&self, of: usize, amount: usize, times: usize) -> bool {
        let over = |slot: &Slot, amount: usize| {
            let used = slot.used.saturating_add(amount);
            used.saturating_sub(slot.floor.saturating_mul(times))
        };
        // Even if others have more than there is.
        if over(&self.slots[of], amount) == 0 {
            return true;
        }
        let common = self.capacity.saturating_sub(self.floors).saturating_mul(times);
        let taken = self.slots.iter().enumerate();
        let taken = taken.map(|(number, slot)| over(slot, if number == of { amount } else { 0 }));
        taken.fold(0, usize::saturating_add) <= common
    }

    /// What a type can have more, with the floors of the others kept free.
    pub(super) fn room(&self, of: usize) -> usize {
        let over = |slot: &Slot| slot.used.saturating_sub(slot.floor);
        let taken = self.slots.iter().map(over).fold(0, usize::saturating_add);
        let common = self.capacity.saturating_sub(self.floors).saturating_sub(taken);
        let Slot { floor, used, .. } = &self.slots[of];
        floor.saturating_sub(*used).saturating_add(common)
    }

    /// Returns `true` if so much more is beyond the share of a type. One item at a time is not, however large it is.
    pub(super) fn is_beyond(&self, of: usize, amount: usize) -> bool {
        let slot = &self.slots[of];
        slot.used > 0 && slot.used.saturating_add(amount) > slot.share
    }

    /// Returns `true` if the types have anything to divide.
    pub(super) fn is_divided(&self) -> bool {
        self.slots.len() > 2
    }

    /// The order of two types that want so much: what is within a share comes first, then the smaller part of it.
    pub(super) fn order(&self, (a, wants_a): (usize, usize), (b, wants_b): (usize, usize)) -> Ordering {
        let beyond = self.is_beyond(a, wants_a).cmp(&self.is_beyond(b, wants_b));
        beyond.then_with(|| self.by_use(a, b))
    }

    /// The order of two types by what they have for their weights.
    pub(super) fn by_use(&self, a: usize, b: usize) -> Ordering {
        let (a, b) = (&self.slots[a], &self.slots[b]);
        let weighed = |one: &Slot, other: &Slot| one.used as u128 * u128::from(other.weight);
        weighed(a, b).cmp(&weighed(b, a))
    }

    pub(super) fn add(&mut self, of: usize, amount: usize) {
        let slot = &mut self.slots[of];
        let before = slot.used;
        slot.used = slot.used.saturating_add(amount);
        self.slack.changed(before, slot.used);
        slot.total = slot.total.saturating_add(amount as u64);
    }

    pub(super) fn remove(&mut self, of: usize, amount: usize) {
        let slot = &mut self.slots[of];
        let before = slot.used;
        slot.used = slot.used.saturating_sub(amount);
        self.slack.changed(before, slot.used);
    }

    /// Begins anew: nobody has anything.
    pub(super) fn clear(&mut self) {
        self.slack.changed(self.slack.used(), 0);
        self.slots.iter_mut().for_each(|slot| slot.used = 0);
    }
}

/// The part of a capacity for a weight among all weights.
fn part(capacity: usize, weight: u32, all: u64) -> usize {
    let part = part::part(capacity as u64, u64::from(weight), all);
    usize::try_from(part).unwrap_or(usize::MAX)
}

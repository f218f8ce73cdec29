//! What a pool only counts: it is refused elsewhere.

use super::{SharePermit, SharedPool, hand_over};
use crate::shares::HeldBack;

impl SharedPool {
    /// Takes a part even if there is none left.
    pub fn charge(&self, agent_type: &str, amount: usize) -> SharePermit {
        let mut books = self.inner.lock();
        let slot = books.ledger.slot_of(agent_type);
        books.ledger.add(slot, amount);
        SharePermit { pool: self.inner.clone(), slot, amount }
    }

    /// Refuses if there is no more for a type, in so many times the pool.
    pub fn check(&self, agent_type: &str, times: usize) -> Result<(), HeldBack> {
        if times > 0 && self.inner.slack.has_room(1) {
            return Ok(());
        }
        let books = self.inner.lock();
        let slot = books.ledger.slot_of(agent_type);
        if books.ledger.has_room(slot, 1, times) && (times > 1 || !books.yields(slot, 1)) {
            return Ok(());
        }
        self.inner.refuse(books, slot, 1)
    }

    /// What a type can have more, with the floors of the others kept free.
    pub fn room(&self, agent_type: &str) -> usize {
        let books = self.inner.lock();
        books.ledger.room(books.ledger.slot_of(agent_type))
    }

    /// Adds to what a type has, or takes from it.
    pub fn adjust(&self, agent_type: &str, added: usize, freed: usize) {
        let mut books = self.inner.lock();
        let slot = books.ledger.slot_of(agent_type);
        books.ledger.add(slot, added);
        books.ledger.remove(slot, freed);
        let granted = books.grant(&self.inner);
        drop(books);
        hand_over(granted);
    }

    /// Counts that so much was refused to a type.
    pub fn count_refusal(&self, agent_type: &str, amount: usize) {
        let books = self.inner.lock();
        let slot = books.ledger.slot_of(agent_type);
        self.inner.refuse(books, slot, amount).ok(); // it is an error in any case
    }
}

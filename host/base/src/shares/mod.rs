//! Shares: how the agent types of a host divide what all of them use, such as turns in flight or bytes of the log.
//!
//! A type may use what the others leave unused, but never all of a pool: a part of it is divided among the types in
//! advance, by their weights ([`ledger`]). When a pool is wanted, a type with less than its share comes before one with
//! more. [`SharedPool`] lends permits, [`SharedRate`] counts what is used up in each second, and [`HeldBack`] says why a
//! type gets no more. What all types get in the end, and only the order is at stake, waits in a [`fair_queue`].

pub mod fair_queue;
mod held_back;
mod ledger;
pub(crate) mod part;
mod pool;
mod rate;
mod share_use;
mod slack;
mod weights;

pub use held_back::HeldBack;
pub(crate) use held_back::Refusals;
pub use pool::{SharePermit, SharedPool};
pub use rate::SharedRate;
pub use share_use::ShareUse;
pub use weights::Weights;

#[cfg(test)]
mod tests;

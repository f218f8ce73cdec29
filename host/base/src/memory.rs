//! One budget of memory for the whole process. What holds much of it has a [`Reservation`]. Beyond the budget, what is
//! idle is given up first; then who wants more waits, for a while, or is refused.
//!
//! The agent types divide the budget by weight ([`parts`]): a type may use what others leave, and never all. Those of one
//! type wait in a [`line`] of their own, its bodies behind its turns, and idle things are taken from a type that has more
//! ([`givers`]). Bodies of no type have a part for themselves as long as they are small ([`small_bodies`]).
//!
//! The sum of all reservations is an estimate. What the process has beyond it (the program itself, what the allocator
//! keeps, what is too small to be counted) is measured from time to time ([`MemoryBudget::measured`]), and counts, too.
//!
//! Turns that all have a part of what they need would wait for one another for ever. So one at a time may go beyond the
//! budget ([`overdraft`]), as far as its own limits let it, and ends. The budget is never exceeded by more than that. The
//! types whose turns wait for this have it in turn, by weight.
//!
//! [`account`] names what is counted, and [`machine`] has what depends on the operating system.

mod account;
mod budget;
mod givers;
mod line;
pub mod machine;
mod overdraft;
mod parts;
mod permission;
mod refused;
mod reservation;
mod shared;
mod small_bodies;
#[cfg(test)]
mod tests;

pub use self::account::{MemoryAccount, MemoryKind};
pub use self::budget::MemoryBudget;
pub use self::givers::Givers;
pub use self::reservation::{MemoryExhausted, Reservation};
pub use self::shared::Reclaim;

//! Actors in WebAssembly components: an activation, its turns one at a time, the instance that each runs in, and what it may reach.
//!
//! Arrows go down: [`actor`] decides whose turn it is and what becomes of it, [`component`] runs it in an instance, and
//! [`imports`] is what the guest may ask for, behind the contract that `wit/` declares.

pub mod actor;
pub mod component;
mod contract;
#[cfg(test)]
mod fake;
pub mod imports;

//! Actors in WebAssembly components: an activation, its turns one at a time, the instance that each runs in, and its
//! imports.
//!
//! Dependencies go down: [`actor`] orders the turns and handles their outcomes, [`scheduler`] gives them processors,
//! [`component`] runs each in an instance, and [`imports`] has the guest's imports, behind the contract that `wit/`
//! declares. [`ActorUse`] counts what one actor uses.

pub mod actor;
mod actor_use;
pub mod component;
mod contract;
#[cfg(test)]
mod fake;
pub mod imports;
pub mod scheduler;
mod thread_clock;

pub use actor_use::ActorUse;

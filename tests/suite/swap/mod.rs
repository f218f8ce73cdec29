//! New logic reaches a host that runs: no call fails, no word is lost, and a component that is no good serves nobody.

mod failing;
mod load;
mod memory;
mod migration;
mod refusals;
mod restart;
mod rollout;
mod signatures;
mod turns;
mod ways;

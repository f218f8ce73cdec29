//! The tests of the examples: what an agent's author writes with the testkit.
//!
//! They are in a separate package because cargo would otherwise compile the host with the features of the agents'
//! dependencies. In a project of its own, an agent has its tests beside it, and `daca-testkit` among its
//! `dev-dependencies`.

mod counter;
mod order_saga;
mod weather;

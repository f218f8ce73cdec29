//! How a turn ends in its instance.

use bytes::Bytes;

use crate::contract::daca::agent::types::Failure;
use daca_model::Fault;

/// The outcome of a turn.
pub enum Outcome {
    /// The guest replied.
    Reply(Bytes),
    /// The guest returned a failure.
    Failure(Failure),
    /// The guest was aborted.
    Fault(Fault),
}

//! Where the memory of an idle actor is listed ([`super::idle_memory`]).

use super::worth::Rank;

/// The entries of an idle activation.
#[derive(Debug, Default)]
pub(super) struct IdleEntries {
    /// The place of its instance, and whether that is among the cheap ones.
    pub(super) instance: Option<(Rank, bool)>,
    /// The place of the state that it keeps.
    pub(super) cache: Option<Rank>,
}

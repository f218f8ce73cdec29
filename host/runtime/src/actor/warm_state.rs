//! What an actor keeps in memory between its turns. It may be dropped at any time: the next turn makes it again.

use super::handled::Handled;
use super::shape::Shape;
use super::unconfirmed::Unconfirmed;
use crate::component::Instance;
use crate::imports::StateCache;

/// What an actor keeps between turns.
#[derive(Default)]
pub(super) struct WarmState {
    pub(super) instance: Option<Instance>,
    pub(super) cache: StateCache,
    /// What the state was last kept under. None when it was not looked up.
    pub(super) shape: Option<Shape>,
    /// The calls that the actor has handled and that may come again. None when that was not looked up.
    pub(super) handled: Option<Handled>,
    /// The ownership epoch that they belong to.
    pub(super) epoch: u64,
    /// The last turn, when it is not known whether it was kept.
    pub(super) unconfirmed: Option<Box<Unconfirmed>>,
}

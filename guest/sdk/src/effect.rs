//! What happens after a call has ended well.

use crate::Error;
use crate::rt::bindings::actor::daca::agent::effects;

/// An event or a one-way call of a binding that leaves after this call has ended well.
///
/// It may be dropped: the effect is staged all the same.
#[derive(Debug)]
pub struct Effect(u32);

impl Effect {
    pub(crate) fn new(id: u32) -> Self {
        Self(id)
    }

    /// The number of the effect within its call, counted from 0.
    pub fn id(&self) -> u32 {
        self.0
    }

    /// Says what the host logs when the effect is settled: `delivered` at level info when it has been delivered, or
    /// `undeliverable`, a colon and the reason at level error when the host has given up.
    ///
    /// The agent cannot say either by itself: effects leave after the call has ended.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when the effect belongs to an earlier call.
    pub fn log_outcome(self, delivered: &str, undeliverable: &str) -> Result<(), Error> {
        Ok(effects::log_outcome(self.0, delivered, undeliverable)?)
    }
}

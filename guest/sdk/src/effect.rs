//! Effects: actions that happen after a call has succeeded.

use crate::Error;
use crate::rt::bindings::actor::daca::agent::effects;

/// An event or a one-way call of a binding that is sent after this call has succeeded.
///
/// This value may be dropped: the effect stays staged.
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

    /// Sets the line that the host logs when the effect is settled: `delivered` at level info after its delivery, or
    /// `undeliverable`, a colon and the reason at level error when the host drops it.
    ///
    /// The agent itself cannot know the outcome, since effects leave after the call has ended.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when the effect belongs to an earlier call.
    pub fn log_outcome(self, delivered: &str, undeliverable: &str) -> Result<(), Error> {
        Ok(effects::log_outcome(self.0, delivered, undeliverable)?)
    }
}

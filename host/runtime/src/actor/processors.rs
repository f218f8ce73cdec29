//! The processors of a host's turns, for inspection and for the end of the host.

use super::Actors;
use crate::scheduler::ProcessorUse;

impl Actors {
    /// What an agent type has of the processors.
    pub fn processor_use(&self, agent_type: &str) -> ProcessorUse {
        self.services.guests.usage(agent_type)
    }

    /// Runs no more turns. The host has waited for them, and ends.
    pub fn stop_turns(&self) {
        self.services.guests.stop();
    }
}

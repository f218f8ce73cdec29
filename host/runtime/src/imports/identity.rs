//! `daca:agent/identity`: the identity of this actor.

use super::Imports;
use crate::contract::daca::agent::identity::Host;

impl Host for Imports<'_> {
    fn agent_type(&mut self) -> String {
        self.scope.options.actor.agent_type.to_string()
    }

    fn actor_id(&mut self) -> String {
        self.scope.options.actor.id.to_string()
    }

    fn turn_id(&mut self) -> String {
        self.scope.options.turn_id.to_string()
    }
}

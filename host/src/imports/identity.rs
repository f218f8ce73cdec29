//! `daca:agent/identity`: who this actor is.

use crate::component::InstanceState;
use crate::component::bindings::daca::agent::identity::Host;

impl Host for InstanceState {
    fn agent_type(&mut self) -> String {
        self.turn().map(|turn| turn.options.actor.agent_type.to_string()).unwrap_or_default()
    }

    fn actor_id(&mut self) -> String {
        self.turn().map(|turn| turn.options.actor.id.to_string()).unwrap_or_default()
    }

    fn turn_id(&mut self) -> String {
        self.turn().map(|turn| turn.options.turn_id.to_string()).unwrap_or_default()
    }
}

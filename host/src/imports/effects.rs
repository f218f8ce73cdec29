//! `daca:agent/effects`: what the log says when an effect of this turn is settled.

use super::no_turn;
use crate::component::InstanceState;
use crate::component::bindings::daca::agent::effects::{Error, Host};

impl Host for InstanceState {
    fn log_outcome(&mut self, effect: u32, delivered: String, undeliverable: String) -> Result<(), Error> {
        let turn = self.turn().map_err(no_turn)?;
        turn.check_payload("the log lines", delivered.len() + undeliverable.len())?;
        let Some(staged) = turn.staged.effects.get_mut(effect as usize) else {
            return Err(Error::NotFound(format!("this turn has no effect {effect}")));
        };
        staged.delivered_line = Some(delivered);
        staged.undeliverable_line = Some(undeliverable);
        Ok(())
    }
}

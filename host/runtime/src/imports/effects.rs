//! `daca:agent/effects`: the log lines for the outcomes of this turn's effects.

use super::Imports;
use crate::contract::daca::agent::effects::{Error, Host};
use daca_base::telemetry::shortened;

impl Host for Imports<'_> {
    fn log_outcome(&mut self, effect: u32, delivered: String, undeliverable: String) -> Result<(), Error> {
        let turn = &mut *self.scope;
        let Some(staged) = turn.staged.effects.get_mut(effect as usize) else {
            return Err(Error::NotFound(format!("this turn has no effect {effect}")));
        };
        // Shortened like every other line of a guest, since waiting effects are kept in memory.
        staged.delivered_line = Some(shortened(&delivered).to_owned());
        staged.undeliverable_line = Some(shortened(&undeliverable).to_owned());
        Ok(())
    }
}

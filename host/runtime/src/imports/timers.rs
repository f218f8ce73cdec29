//! `daca:agent/timers`: wake-ups that last while the actor is active.

use super::Imports;
use crate::contract::daca::agent::timers::{Error, Host, Schedule, Timer};
use daca_model::backend::WakeupKind;

impl Host for Imports<'_> {
    fn register(&mut self, name: String, schedule: Schedule, data: Vec<u8>) -> Result<(), Error> {
        self.scope.register(WakeupKind::Timer, name, schedule, data)
    }

    fn unregister(&mut self, name: String) -> Result<(), Error> {
        self.scope.unregister(WakeupKind::Timer, name)
    }

    async fn get(&mut self, name: String) -> Result<Option<Timer>, Error> {
        let found = self.scope.registration(WakeupKind::Timer, name).await?;
        Ok(found.map(|(data, schedule)| Timer { data, schedule }))
    }
}

//! `daca:agent/reminders`: durable wake-ups.

use super::Imports;
use crate::contract::daca::agent::reminders::{Error, Host, Reminder, Schedule};
use daca_model::backend::WakeupKind;

impl Host for Imports<'_> {
    fn register(&mut self, name: String, schedule: Schedule, data: Vec<u8>) -> Result<(), Error> {
        self.scope.register(WakeupKind::Reminder, name, schedule, data)
    }

    fn unregister(&mut self, name: String) -> Result<(), Error> {
        self.scope.unregister(WakeupKind::Reminder, name)
    }

    async fn get(&mut self, name: String) -> Result<Option<Reminder>, Error> {
        let found = self.scope.registration(WakeupKind::Reminder, name).await?;
        Ok(found.map(|(data, schedule)| Reminder { data, schedule }))
    }
}

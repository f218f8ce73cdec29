//! `daca:agent/reminders`: wake-up calls that last.

use super::no_turn;
use crate::backend::WakeupKind;
use crate::component::InstanceState;
use crate::component::bindings::daca::agent::reminders::{Error, Host, Reminder, Schedule};

impl Host for InstanceState {
    fn register(&mut self, name: String, schedule: Schedule, data: Vec<u8>) -> Result<(), Error> {
        self.turn().map_err(no_turn)?.register(WakeupKind::Reminder, name, schedule, data)
    }

    fn unregister(&mut self, name: String) -> Result<(), Error> {
        self.turn().map_err(no_turn)?.unregister(WakeupKind::Reminder, name)
    }

    async fn get(&mut self, name: String) -> Result<Option<Reminder>, Error> {
        let found = self.turn().map_err(no_turn)?.registration(WakeupKind::Reminder, name).await?;
        Ok(found.map(|(data, schedule)| Reminder { data, schedule }))
    }
}

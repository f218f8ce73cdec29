//! `daca:agent/timers`: wake-up calls that last while the actor is active.

use super::no_turn;
use crate::backend::WakeupKind;
use crate::component::InstanceState;
use crate::component::bindings::daca::agent::timers::{Error, Host, Schedule, Timer};

impl Host for InstanceState {
    fn register(&mut self, name: String, schedule: Schedule, data: Vec<u8>) -> Result<(), Error> {
        self.turn().map_err(no_turn)?.register(WakeupKind::Timer, name, schedule, data)
    }

    fn unregister(&mut self, name: String) -> Result<(), Error> {
        self.turn().map_err(no_turn)?.unregister(WakeupKind::Timer, name)
    }

    async fn get(&mut self, name: String) -> Result<Option<Timer>, Error> {
        let found = self.turn().map_err(no_turn)?.registration(WakeupKind::Timer, name).await?;
        Ok(found.map(|(data, schedule)| Timer { data, schedule }))
    }
}

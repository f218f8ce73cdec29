//! Panics. The host must fail that turn with a status 500, show the panic's message in its log, keep nothing of what
//! the turn staged, and serve the actor's next turn with a new instance.

use daca_sdk::{Failure, agent, config, state};

#[derive(Default)]
struct Panics;

#[agent]
impl Panics {
    /// With the setting `panic-in-activate`, every turn fails.
    #[activate]
    fn activate(&mut self) -> Result<(), Failure> {
        panic_if_set("panic-in-activate")
    }

    /// With the setting `panic-in-deactivate`, it is deactivated all the same.
    #[deactivate]
    fn deactivate(&mut self) -> Result<(), Failure> {
        panic_if_set("panic-in-deactivate")
    }

    /// Writes `panicked`, which must not last, and panics with the message.
    pub fn panic(&mut self, message: String) -> Result<(), Failure> {
        state::set("panicked", &message)?;
        panic!("{message}")
    }

    /// Answers what was kept under `panicked`.
    pub fn fine(&self) -> Result<Option<String>, Failure> {
        Ok(state::get("panicked")?)
    }
}

fn panic_if_set(setting: &str) -> Result<(), Failure> {
    match config::get(setting)? {
        Some(_) => panic!("as the setting `{setting}` asks"),
        None => Ok(()),
    }
}

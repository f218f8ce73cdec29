//! Keeps its numbers as objects under another key. The host must have it migrate the state of each actor once, in the
//! transaction of the actor's first turn on it; a migration that fails or traps must leave the state as it was.

#[path = "shared/swapped.rs"]
#[macro_use]
mod swapped;

use daca_sdk::{Migration, config};
use serde::Serialize;

#[derive(Deserialize, Serialize)]
struct Number {
    n: u64,
}

impl From<u64> for Number {
    fn from(n: u64) -> Self {
        Self { n }
    }
}

impl From<Number> for u64 {
    fn from(number: Number) -> Self {
        number.n
    }
}

swapped! {
    version: "v3",
    entries: Number, under "numbers",
    traps_in_methods: false,
    traps_in_activate: false,
    {
        /// With the setting `fail-migration` it fails, and with `trap-migration` it traps, after the change.
        #[migrate(to = "2", keys = ["entries"])]
        fn migrate(&mut self, _from: &str, state: &mut Migration) -> Result<(), Failure> {
            let entries: Vec<u64> = state.get("entries")?.unwrap_or_default();
            state.remove("entries");
            state.set("numbers", &entries.into_iter().map(Number::from).collect::<Vec<_>>())?;
            if config::get("trap-migration")?.is_some() {
                panic!("as the setting `trap-migration` asks");
            }
            match config::get("fail-migration")? {
                Some(_) => Err(Failure::failed("as the setting `fail-migration` asks")),
                None => Ok(()),
            }
        }
    }
}

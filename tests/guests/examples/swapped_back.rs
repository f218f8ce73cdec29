//! Keeps its numbers as `swapped_v1` does, and can be gone back to after `swapped_migrates`: from the label `2` it migrates the
//! state back, and from any other it takes the state for its own shape.

#[path = "shared/swapped.rs"]
#[macro_use]
mod swapped;

use daca_sdk::Migration;

#[derive(Deserialize)]
struct Number {
    n: u64,
}

swapped! {
    version: "v4",
    entries: u64, under "entries",
    traps_in_methods: false,
    traps_in_activate: false,
    {
        #[migrate(to = "1", keys = ["entries", "numbers"])]
        fn migrate(&mut self, from: &str, state: &mut Migration) -> Result<(), Failure> {
            if from != "2" {
                return Ok(());
            }
            let numbers: Vec<Number> = state.get("numbers")?.unwrap_or_default();
            state.remove("numbers");
            state.set("entries", &numbers.into_iter().map(|number| number.n).collect::<Vec<_>>())
        }
    }
}

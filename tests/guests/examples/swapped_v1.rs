//! The version that others take the place of. It knows nothing of migration, as an agent that was never changed.

#[path = "shared/swapped.rs"]
#[macro_use]
mod swapped;

swapped! {
    version: "v1",
    entries: u64, under "entries",
    traps_in_methods: false,
    traps_in_activate: false,
    {}
}

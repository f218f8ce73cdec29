//! Comes to life and traps in every method. The host must not let it take over for good.

#[path = "shared/swapped.rs"]
#[macro_use]
mod swapped;

swapped! {
    version: "traps",
    entries: u64, under "entries",
    traps_in_methods: true,
    traps_in_activate: false,
    {}
}

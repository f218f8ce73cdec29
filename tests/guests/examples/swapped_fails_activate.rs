//! Traps in `activate`. The host must find out before any call reaches it.

#[path = "shared/swapped.rs"]
#[macro_use]
mod swapped;

swapped! {
    version: "fails-activate",
    entries: u64, under "entries",
    traps_in_methods: false,
    traps_in_activate: true,
    {}
}

//! Like `swapped_v1` in all but its name: the host must swap the one for the other with no call lost, and back.

#[path = "shared/swapped.rs"]
#[macro_use]
mod swapped;

swapped! {
    version: "v2",
    entries: u64, under "entries",
    traps_in_methods: false,
    traps_in_activate: false,
    {}
}

//! Names the guests that tests run: the examples of this crate, each a component.
//!
//! ```text
//! cargo build -p test-guests --examples --target wasm32-wasip2 --profile guest
//! ```
//!
//! makes `target/wasm32-wasip2/guest/examples/NAME.wasm` of each `examples/NAME.rs`. What a guest does, and what the
//! host must make of it, is the first thing in its file.

/// All guests, in the order of the alphabet: each `NAME` of an `examples/NAME.rs`.
pub const GUESTS: &[&str] = &[
    "allocates",
    "chaos_ledger",
    "deaf",
    "exerciser",
    "exits",
    "floods",
    "ledger",
    "loops",
    "panics",
    "plain",
    "recurses",
    "swapped_back",
    "swapped_fails_activate",
    "swapped_large",
    "swapped_migrates",
    "swapped_traps",
    "swapped_v1",
    "swapped_v2",
    "told",
];

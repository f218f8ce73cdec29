//! Agents that are scripts: JavaScript and TypeScript, made ready for the engine that the host brings.
//!
//! A script is a module that imports the SDK and exports an agent. The [engine](ENGINE) is a component that evaluates a
//! function body, so [`prepare`] makes one of the module: the types are stripped, imports and exports become
//! assignments, and async functions become generators, since the engine has no loop that would run reactions later.
//!
//! The parser is recursive, and its depth is that of the script. So whoever prepares a script of others does it in a
//! process of its own (`daca compile-component`).

#![forbid(unsafe_code)]

mod modules;
mod prepare;

pub use prepare::{Prepared, Problem, prepare};

/// The engine: a component of the world `daca:script/engine`, built of `guest/js` by `cargo xtask engine`.
pub static ENGINE: &[u8] = include_bytes!("../engine/javascript.wasm");

/// The maximum size of a script in bytes.
pub const MAX_SCRIPT: u64 = 1024 * 1024;

/// Returns `true` if a file of this name is a script.
pub fn is_script_name(name: &str) -> bool {
    [".js", ".mjs", ".ts", ".mts"].iter().any(|end| name.ends_with(end))
}

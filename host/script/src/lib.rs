//! Agents that are scripts: JavaScript and TypeScript, made ready for the engine that the host brings.
//!
//! A script is a module that imports the SDK and exports an agent. The [engine](ENGINE) is a component that evaluates a
//! function body, so [`prepare()`] makes one of the module: the types are stripped, imports and exports become
//! assignments, and async functions become generators, since the engine has no loop that would run reactions later.
//!
//! The parser is recursive, and its depth is that of the script. So whoever prepares a script of others does it in a
//! process of its own (`daca compile-component`).

#![forbid(unsafe_code)]

mod forbidden;
mod modules;
mod prepare;
mod problem;
mod sdk;

pub use prepare::{Prepared, prepare};
pub use problem::Problem;

/// The engine: a component of the world `daca:script/engine`, built of `guest/js` by its `tools/engine.js`.
pub static ENGINE: &[u8] = include_bytes!("../engine/javascript.wasm");

/// The maximum size of a script in bytes.
pub const MAX_SCRIPT: u64 = 1024 * 1024;

/// Returns `true` if the bytes are meant as a script: text that names the SDK. Anything else is meant as a component.
pub fn is_script(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok_and(|text| text.contains(SDK))
}

/// Returns `true` if bytes name the SDK, and are no text that a script can be: in another encoding than UTF-8, or with a
/// NUL. For errors.
pub fn is_unreadable(bytes: &[u8]) -> bool {
    // As UTF-16, each letter has one.
    let letters = bytes.iter().copied().filter(|byte| *byte != 0).collect::<Vec<_>>();
    !is_script(bytes) && letters.windows(SDK.len()).any(|part| part == SDK.as_bytes())
}

/// The one module that a script can import.
const SDK: &str = "@daca/sdk";

/// The interfaces behind a name that a script imports from the SDK.
pub fn interfaces_of(imported: &str) -> &'static [&'static str] {
    match imported {
        "actorId" | "agentType" | "turnId" => &["daca:agent/identity@0.1.0"],
        "actors" => &["daca:agent/actors@0.1.0"],
        "bindings" => &["daca:agent/bindings@0.1.0", "daca:agent/effects@0.1.0"],
        "config" => &["wasi:config/store@0.2.0-rc.1"],
        "log" => &["wasi:logging/logging@0.1.0-draft"],
        "publish" => &["daca:agent/effects@0.1.0", "daca:agent/pubsub@0.1.0"],
        "reminders" => &["daca:agent/reminders@0.1.0"],
        "secrets" => &["daca:agent/secrets@0.1.0"],
        "state" => &["daca:agent/state@0.1.0"],
        "timers" => &["daca:agent/timers@0.1.0"],
        // The whole SDK: nothing can be said of what it uses, and each call is checked anyway.
        _ => &[],
    }
}

//! Components: from the bytes of a `.wasm` file to a turn that runs in an instance.
//!
//! [`Engine`] compiles and holds what all components share; [`ComponentVersion`] is one checked and compiled file;
//! [`Serving`] says which of them an actor's next instance is made from; [`Instance`] is a live copy, in which turns run. What a
//! turn may reach is not decided here but in [`crate::imports`], which this room links in.

mod cache;
mod engine;
mod instance;
mod limits;
mod migration;
mod precompiled;
mod running_time;
mod serving;
mod version;

/// Types and glue made from `wit/`. Which imports are async is decided by whether they wait for a backend.
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "agent-with-all-exports",
        imports: {
            "daca:agent/state.get": async,
            "daca:agent/state.get-many": async,
            "daca:agent/bindings.invoke": async,
            "daca:agent/actors.invoke": async,
            "daca:agent/reminders.get": async,
            "daca:agent/timers.get": async,
            "daca:agent/secrets.get": async,
        },
        exports: { default: async },
    });
}

pub use engine::{Compiling, Engine, EngineError, EngineOptions};
pub use instance::{Fault, Instance, InstanceState, Outcome, TurnKind};
pub use precompiled::{PrecompileError, precompile};
pub use serving::{Counted, Counters, NotKnown, Rollout, Served, Serving, TurnEnd};
pub(crate) use version::check_header;
pub use version::{ComponentVersion, LARGEST_FILE, LoadError, digest, short};

//! Components: from the bytes of a `.wasm` file to a turn that runs in an instance.
//!
//! [`Engine`] holds what all components share; an [`Outline`] is what a file says before it is compiled ([`compiler`]), and a
//! [`ComponentVersion`] one checked and compiled file;
//! [`Serving`] says which of them an actor's next instance is made from; [`Instance`] is a live copy, in which turns run. What a
//! turn may reach is not decided here but in [`crate::imports`], which this room links in.

mod cache;
pub mod compiler;
mod declarations;
mod engine;
mod instance;
mod limits;
mod migration;
mod outline;
mod precompiled;
mod running_time;
mod serving;
mod stalls;
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

pub use compiler::{CompileIn, CompileLimits, Compiling};
pub use engine::{Engine, EngineError, EngineOptions};
pub use instance::{Fault, Instance, InstanceState, Outcome, TurnKind};
pub use outline::Outline;
pub(crate) use outline::check_header;
pub use precompiled::{PrecompileError, precompile};
pub use serving::{Counted, Counters, NotKnown, Rollout, Served, Serving, TurnEnd};
pub use version::{ComponentVersion, LARGEST_FILE, LoadError, digest, imports_without_permission, short};

/// What an interface of the contract's package is named by.
const PACKAGE: &str = "daca:agent/";

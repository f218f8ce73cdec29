//! Components: from the bytes of a `.wasm` file to a turn that runs in an instance.
//!
//! [`Engine`] holds what all components share; an [`Outline`] is what a file says before it is compiled ([`compiler`]), and a
//! [`ComponentVersion`] one checked and compiled file;
//! [`Serving`] says which of them an actor's next instance is made from; [`Instance`] is a live copy, in which turns run. What a
//! turn may reach is not decided here but in [`crate::imports`], which this module links in.

mod cache;
pub mod compiler;
mod declarations;
mod engine;
mod instance;
mod limits;
mod migration;
mod outline;
mod precompiled;
mod refusal;
mod running_time;
mod serving;
mod settings;
mod stalls;
mod version;

pub use compiler::{CompileIn, Compiling};
pub use engine::{Engine, EngineError, EngineOptions};
pub use instance::{Instance, InstanceState, Outcome};
pub use outline::Outline;
pub use outline::check_header;
pub use precompiled::{PrecompileError, precompile};
pub use refusal::LoadError;
pub use serving::{Counted, Counters, NotKnown, Rollout, Served, Serving, TurnEnd};
pub use version::{ComponentVersion, imports_without_permission};

/// What an interface of the contract's package is named by.
const PACKAGE: &str = "daca:agent/";

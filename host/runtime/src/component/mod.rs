//! Components: from the bytes of a `.wasm` file to a turn that runs in an instance.
//!
//! [`Engine`] has what all components share. An [`Outline`] is what a file declares before it is compiled
//! ([`compiler`]), and a [`ComponentVersion`] is a checked and compiled file. [`ActiveRollout`] selects the version of
//! an actor's next instance. [`Instance`] is a live copy, in which turns run. The imports of a turn are in
//! [`crate::imports`], which this module links.

mod absent;
mod cache;
pub mod compiler;
mod declarations;
mod engine;
mod failed_effect;
mod instance;
mod instance_state;
mod limits;
mod memories;
mod migration;
mod outcome;
mod outline;
mod precompiled;
mod refusal;
mod rollout;
mod running_time;
mod script;
mod settings;
mod stalls;
mod version;

pub use absent::absent_imports;
pub use compiler::{CompileIn, Compiling};
pub use declarations::run_compiler;
pub use engine::{Engine, EngineError, EngineOptions};
pub use instance::Instance;
pub use instance_state::InstanceState;
pub use outcome::Outcome;
pub use outline::Outline;
pub use outline::check_header;
pub use precompiled::PrecompileError;
pub use refusal::LoadError;
pub use rollout::{ActiveRollout, Counted, Counters, LoadedVersion, NotKnown, TrafficSplit, TurnEnd};
pub use script::Script;
pub use version::{ComponentVersion, imports_without_permission, precompile};

/// The prefix of the interfaces of the contract's package.
const PACKAGE: &str = "daca:agent/";

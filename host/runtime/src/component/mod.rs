//! Components: from the bytes of a `.wasm` file to a turn that runs in an instance.
//!
//! [`Engine`] has what all components share. An [`Outline`] is what a file declares before it is compiled
//! ([`compiler`]), and a [`ComponentVersion`] is a checked and compiled file. [`ActiveRollout`] selects the version of
//! an actor's next instance. [`Instance`] is a live copy, in which turns run. The imports of a turn are in
//! [`crate::imports`], which this module links.

mod absent;
mod activation_cost;
mod cache;
pub mod compiler;
mod declarations;
mod declared_needs;
mod engine;
mod engine_options;
mod failed_effect;
mod image_files;
mod initial_memory;
mod instance;
mod instance_state;
mod kept_reply;
mod last_words;
mod limits;
mod mappings;
mod migration;
mod outcome;
mod outline;
mod pool_needs;
mod precompiled;
mod refusal;
mod rollout;
mod running_time;
mod script;
mod script_description;
mod script_engine;
mod script_source;
mod settings;
mod stalls;
mod version;

pub use absent::absent_imports;
pub use activation_cost::ActivationCost;
pub use compiler::{CompileIn, Compiling};
pub use declarations::run_compiler;
pub use engine::{Engine, EngineError};
pub use engine_options::EngineOptions;
pub(crate) use engine_options::most_core_instances;
pub use image_files::most_image_files;
pub use instance::{Instance, InstancePlace};
pub use instance_state::InstanceState;
pub(crate) use mappings::most_mapped_instances;
pub use mappings::{map_count_limit, most_live_instances};
pub use outcome::Outcome;
pub use outline::Outline;
pub use outline::check_header;
pub use precompiled::PrecompileError;
pub use refusal::LoadError;
pub use rollout::{ActiveRollout, Counted, Counters, LoadedVersion, NotKnown, TrafficSplit, TurnEnd};
pub(crate) use script::scope as description_scope;
pub use script::{ParsedScript, PrecompileScriptsError, precompile_script_engine};
pub use script_source::Script;
pub use version::{ComponentVersion, imports_without_permission, precompile};

/// The prefix of the interfaces of the contract's package.
const PACKAGE: &str = "daca:agent/";

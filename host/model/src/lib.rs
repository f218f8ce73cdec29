//! The vocabulary that all parts of the host share: the addressed actor ([`ActorAddress`], [`CallContext`]), what a
//! turn needs and produces ([`backend`]), what a backup consists of ([`backup`]), the phase of the host ([`Lifecycle`]),
//! what deployments did ([`deployment`]), the name of a script's file
//! ([`FileName`]), what operators ask and are told ([`admin`]), and why something was not done
//! ([`CallError`], [`Fault`]). Its only logic reads and writes formats that several crates must understand in the same
//! way; I/O is behind its traits.

mod address;
pub mod admin;
pub mod backend;
pub mod backup;
mod call_error;
pub mod cloud_event;
mod context;
pub mod deployment;
mod effect;
mod fault;
mod file_name;
mod host_entries;
mod ids;
mod lifecycle;
mod outbox;
mod shared_store;
mod shown_effect;
mod stored;
mod topic;
mod turn_kind;
mod wakeup;

pub use address::{ActorAddress, AddressError, check_actor_id, check_agent_type};
pub use call_error::{CallError, RemoteError};
pub use context::{CallContext, CallIdentity, KeyError};
pub use fault::Fault;
pub use file_name::{FileName, FileNameError};
pub use ids::new_id;
pub use lifecycle::{HostPhase, Lifecycle, LifecycleWriter};
pub use topic::Topic;
pub use turn_kind::TurnKind;

/// The maximum size of a component file in bytes.
pub const MAX_COMPONENT: u64 = 256 * 1024 * 1024;
/// The maximum size of a signature file in bytes. A real one has 89.
pub const MAX_SIGNATURE: u64 = 1_024;
/// The maximum length of a version's label in bytes: it is a column of a table, and a value in every actor's state.
pub const MAX_LABEL: usize = 64;

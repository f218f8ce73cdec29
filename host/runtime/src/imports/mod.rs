//! The imports of a guest: one file for each interface of the contract, and WASI.
//!
//! Everything that enters or leaves a turn passes through [`TurnScope`]. The imports that reach outside the actor
//! (`actors`, `bindings`, `pubsub`, `secrets`) ask the manifest's [`daca_manifest::Permissions`], each in its own file,
//! before they call the backend: deny by default, at the import, for every call. So there are three steps: the linked
//! imports ([`add_to_linker`]), the permitted ones, and the use of limits by one turn (the scope).

mod actors;
mod bindings;
mod config;
mod effects;
mod expiry;
mod identity;
mod lists;
mod log_budget;
mod logging;
mod null_backend;
mod pubsub;
mod reminders;
mod scope;
mod secrets;
mod state;
mod state_cache;
mod timers;
mod wakeups;
mod wasi;

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::WasiView;

pub(crate) use lists::add_lists_to_linker;
pub use log_budget::TurnUse;
pub(crate) use log_budget::{LINE_BYTES, LogBudget, LogShare};
pub(crate) use null_backend::{NullBackend, scratch_scope};
pub use scope::{ScopeOptions, TurnProducts, TurnScope, WakeupHandlers};
pub use state_cache::{KnownState, StateCache};
pub(crate) use wasi::wasi_context;

use crate::contract;
use contract::daca::agent::types::Error;
use daca_base::ErrorCode;
use daca_base::telemetry::printable;
use daca_model::backend;

/// The context of an import's call during a turn, borrowed from the instance's store.
pub(crate) struct Imports<'a> {
    /// The running turn.
    pub(crate) scope: &'a mut TurnScope,
    /// The lines that it may still log.
    pub(crate) log: &'a LogBudget,
}

/// The linker's type for imports that get an [`Imports`].
struct HasImports;

impl HasData for HasImports {
    type Data<'a> = Imports<'a>;
}

/// Links every interface of the contract and of WASI 0.2. Called once for each engine; `imports` projects a store's
/// data to the context of the imports.
pub(crate) fn add_to_linker<T: WasiView + 'static>(
    linker: &mut Linker<T>,
    imports: fn(&mut T) -> Imports<'_>,
) -> wasmtime::Result<()> {
    use contract::daca::agent as daca;
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    daca::identity::add_to_linker::<_, HasImports>(linker, imports)?;
    daca::state::add_to_linker::<_, HasImports>(linker, imports)?;
    daca::pubsub::add_to_linker::<_, HasImports>(linker, imports)?;
    daca::bindings::add_to_linker::<_, HasImports>(linker, imports)?;
    daca::effects::add_to_linker::<_, HasImports>(linker, imports)?;
    daca::actors::add_to_linker::<_, HasImports>(linker, imports)?;
    daca::reminders::add_to_linker::<_, HasImports>(linker, imports)?;
    daca::timers::add_to_linker::<_, HasImports>(linker, imports)?;
    daca::secrets::add_to_linker::<_, HasImports>(linker, imports)?;
    daca::types::add_to_linker::<_, HasImports>(linker, imports)?;
    contract::wasi::config::store::add_to_linker::<_, HasImports>(linker, imports)?;
    contract::wasi::logging::logging::add_to_linker::<_, HasImports>(linker, imports)
}

impl Imports<'_> {
    /// Reports a denied request, to the guest and, with the line to add, to the operator.
    fn denied(&self, list: &str, entry: &str, what: &str) -> Error {
        let agent_type = &self.scope.options.actor.agent_type;
        if self.log.take(entry.len()) {
            let entry = printable(entry);
            tracing::warn!(
                code = ErrorCode::Denied.as_str(),
                "{agent_type} may not {what} {entry}: to permit it, add {entry:?} to the list {list} in [agents.{agent_type}.permissions]"
            );
        }
        Error::Denied(format!("the manifest does not permit {agent_type} to {what} {entry}"))
    }
}

/// The linked packages of WASI, and the interfaces of the contract that guests import.
const OFFERED: [&str; 8] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:config/store",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:logging/logging",
    "wasi:random/",
    "wasi:sockets/",
];
const OFFERED_OF_CONTRACT: [&str; 10] = [
    "actors",
    "bindings",
    "effects",
    "identity",
    "pubsub",
    "reminders",
    "secrets",
    "state",
    "timers",
    "types",
];

/// Returns `true` if components may import an interface of this name. It is decided by the name alone, before the
/// component is compiled; the linker checks versions and contents.
pub(crate) fn offers(import: &str) -> bool {
    let interface = import.split('@').next().unwrap_or(import);
    match interface.strip_prefix("daca:agent/") {
        Some(interface) => OFFERED_OF_CONTRACT.contains(&interface),
        None => OFFERED.iter().any(|offered| match offered.ends_with('/') {
            true => interface.starts_with(offered),
            false => interface == *offered,
        }),
    }
}

impl contract::daca::agent::types::Host for Imports<'_> {}

impl From<backend::Error> for Error {
    fn from(error: backend::Error) -> Error {
        match error {
            backend::Error::NotFound(text) => Error::NotFound(text),
            backend::Error::Invalid(text) => Error::Invalid(text),
            backend::Error::Unavailable(text)
            | backend::Error::NotApplied(text)
            | backend::Error::TooNew(text) => Error::Unavailable(text),
            backend::Error::TooLarge(text)
            | backend::Error::StorageExceeded(text)
            | backend::Error::TooManyRegistrations(text) => Error::TooLarge(text),
            backend::Error::Other(text) => Error::Other(text),
        }
    }
}

//! What a guest may ask of the host: one file for each interface of the contract, and WASI.
//!
//! Everything that enters a turn from outside or leaves it passes through [`TurnScope`], and each import checks there what
//! the manifest permits before it asks the backend: deny by default, at the import, for every call. Three phases, in each
//! file where they apply: what is linked ([`add_to_linker`]), what is permitted (the manifest's
//! [`daca_manifest::Permissions`]), and what one turn has used so far (the scope).

mod actors;
mod bindings;
mod config;
mod effects;
mod identity;
mod logging;
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

pub(crate) use logging::LogBudget;
pub use scope::{ScopeOptions, TurnProducts, TurnScope, WakeupHandlers};
pub use state_cache::StateCache;
pub(crate) use wasi::wasi_context;

use crate::contract;
use contract::daca::agent::types::Error;
use daca_base::telemetry::printable;
use daca_model::backend;

/// What a guest reaches during a turn. Made for each call of an import, from what its instance holds.
pub(crate) struct Imports<'a> {
    /// The turn that runs.
    pub(crate) scope: &'a mut TurnScope,
    /// How many lines it may still log.
    pub(crate) log: &'a LogBudget,
}

/// Tells the linker that imports are given an [`Imports`].
struct HasImports;

impl HasData for HasImports {
    type Data<'a> = Imports<'a>;
}

/// Offers every interface of the contract and of WASI 0.2 to components. Called once for each engine; `imports` finds what a call of
/// an import may reach in what a store holds.
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
    /// Says that the manifest does not permit something, to the guest and, with the line to add, to the operator.
    fn denied(&self, list: &str, entry: &str, what: &str) -> Error {
        let agent_type = &self.scope.options.actor.agent_type;
        if self.log.take() {
            let entry = printable(entry);
            tracing::warn!(
                code = "denied",
                "{agent_type} may not {what} {entry}: to permit it, add {entry:?} to the list {list} in [agents.{agent_type}.permissions]"
            );
        }
        Error::Denied(format!("the manifest does not permit {agent_type} to {what} {entry}"))
    }
}

/// The packages of WASI that are linked, and the interfaces of the contract that guests import.
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

/// May a component import an interface of this name? Told from the name alone, before it is compiled; the linker knows the
/// versions and what is in them.
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
            backend::Error::Unavailable(text) | backend::Error::NotDone(text) => Error::Unavailable(text),
            backend::Error::TooLarge(text) => Error::TooLarge(text),
            backend::Error::Other(text) => Error::Other(text),
        }
    }
}

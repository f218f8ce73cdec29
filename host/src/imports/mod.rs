//! What a guest may ask of the host: one file for each interface of the contract, and WASI.
//!
//! Everything that enters a turn from outside or leaves it passes through [`TurnScope`], and each import checks there what
//! the manifest permits before it asks the backend: deny by default, at the import, for every call. Three phases, in each
//! file where they apply: what is linked ([`add_to_linker`]), what is permitted (the manifest's
//! [`crate::manifest::Permissions`]), and what one turn has used so far (the scope).

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

use wasmtime::component::{HasSelf, Linker};

pub(crate) use logging::LogBudget;
pub use scope::{ScopeOptions, TurnProducts, TurnScope};
pub use state_cache::StateCache;
pub(crate) use wasi::wasi_context;

use crate::backend;
use crate::component::InstanceState;
use crate::component::bindings as contract;
use contract::daca::agent::types::Error;

/// Offers every interface of the contract and of WASI 0.2 to components. Called once for each engine.
pub(crate) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    use contract::daca::agent as daca;
    type Own = HasSelf<InstanceState>;
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    daca::identity::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::state::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::pubsub::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::bindings::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::effects::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::actors::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::reminders::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::timers::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::secrets::add_to_linker::<_, Own>(linker, |state| state)?;
    daca::types::add_to_linker::<_, Own>(linker, |state| state)?;
    contract::wasi::config::store::add_to_linker::<_, Own>(linker, |state| state)?;
    contract::wasi::logging::logging::add_to_linker::<_, Own>(linker, |state| state)
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

impl contract::daca::agent::types::Host for InstanceState {}

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

/// For an import that found no turn, which a guest cannot bring about.
fn no_turn(error: wasmtime::Error) -> Error {
    Error::Other(error.to_string())
}

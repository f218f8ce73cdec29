//! What a script has, as the engine describes it.

use daca_model::Fault;
use wasmtime::Store;
use wasmtime::component::{ComponentType, Instance, Lift};

use super::refusal::{Refusal, invalid_script, unavailable};
use super::{InstanceState, Outcome};
use crate::contract::daca::agent::types::Failure;

/// The interface by which the engine says what the script has.
const DESCRIPTION: &str = "daca:script/description@0.1.0";

/// What the engine says of a script.
#[derive(Debug, Default, ComponentType, Lift, serde::Serialize, serde::Deserialize)]
#[component(record)]
pub(super) struct Described {
    pub(super) methods: Vec<String>,
    pub(super) hooks: Vec<String>,
    schema: Option<String>,
}

/// Reads the outcome of a turn in which a script was evaluated.
pub(super) fn read_description(outcome: Outcome) -> Result<Described, Refusal> {
    match outcome {
        Outcome::Reply(json) => daca_base::json::read(&json)
            .map_err(|error| invalid_script(&format!("its description is unreadable: {error}"))),
        Outcome::Failure(failure) => {
            let (Failure::Invalid(text) | Failure::NotFound(text) | Failure::Failed(text)) = failure;
            Err(invalid_script(text.trim_end()))
        }
        // Not the script's fault.
        Outcome::Fault(fault @ (Fault::NoRoom(_) | Fault::NoMemory)) => Err(unavailable(&fault.to_string())),
        Outcome::Fault(fault) => Err(invalid_script(&format!("it cannot be evaluated: {fault}"))),
    }
}

/// Asks a live engine what its script has. The reply is JSON of [`Described`].
pub(super) async fn call_describe(
    store: &mut Store<InstanceState>,
    instance: &Instance,
) -> wasmtime::Result<Outcome> {
    let missing = || wasmtime::Error::msg("the engine does not describe its script");
    let (_, at) = instance.get_export(&mut *store, None, DESCRIPTION).ok_or_else(missing)?;
    let (_, at) = instance.get_export(&mut *store, Some(&at), "describe").ok_or_else(missing)?;
    let describe = instance.get_typed_func::<(), (Result<Described, String>,)>(&mut *store, &at)?;
    let (described,) = describe.call_async(&mut *store, ()).await?;
    Ok(match described {
        Ok(described) => Outcome::Reply(serde_json::to_vec(&described).map_err(wasmtime::Error::new)?.into()),
        Err(text) => Outcome::Failure(Failure::Invalid(text)),
    })
}

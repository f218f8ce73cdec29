//! The support code of `#[agent]`. Only its expansion uses this module: it may change with any version.

pub mod bindings;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::bindings::actor::daca::agent::types;
use crate::{Error, FailedEffect, Failure, Migration, json};

/// Every agent.
pub trait Agent: Default + 'static {
    /// Lends the agent's value, which lives as long as the instance.
    fn with<R>(run: impl FnOnce(&mut Self) -> R) -> R;

    /// Runs a method.
    fn call(&mut self, method: &str, payload: &[u8]) -> Result<Vec<u8>, Failure>;
}

/// An agent with `#[activate]`, `#[deactivate]` or both.
pub trait Lifecycle: Agent {
    fn activate(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn deactivate(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// An agent with `#[reminder]`.
pub trait OnReminder: Agent {
    fn on_reminder(&mut self, name: &str, data: &[u8]) -> Result<(), Failure>;
}

/// An agent with `#[timer]`.
pub trait OnTimer: Agent {
    fn on_timer(&mut self, name: &str, data: &[u8]) -> Result<(), Failure>;
}

/// An agent with `#[effect_failed]`.
pub trait OnEffectFailed: Agent {
    fn on_effect_failed(&mut self, effect: FailedEffect, reason: Error) -> Result<(), Failure>;
}

/// An agent with `#[migrate]`.
pub trait Migrate: Agent {
    /// The label of its schema.
    const LABEL: &'static str;

    /// The keys that `migrate` reads.
    fn keys() -> Vec<String>;

    fn migrate(&mut self, from: &str, state: &mut Migration) -> Result<(), Failure>;
}

impl<T: Agent> bindings::actor::exports::daca::agent::actor::Guest for T {
    fn invoke(method: String, payload: Vec<u8>) -> Result<Vec<u8>, types::Failure> {
        Ok(T::with(|agent| agent.call(&method, &payload))?)
    }
}

impl<T: Lifecycle> bindings::lifecycle::exports::daca::agent::lifecycle::Guest for T {
    fn activate() -> Result<(), types::Failure> {
        Ok(T::with(T::activate)?)
    }

    fn deactivate() -> Result<(), types::Failure> {
        Ok(T::with(T::deactivate)?)
    }
}

impl<T: OnReminder> bindings::on_reminder::exports::daca::agent::on_reminder::Guest for T {
    fn on_reminder(name: String, data: Vec<u8>) -> Result<(), types::Failure> {
        Ok(T::with(|agent| agent.on_reminder(&name, &data))?)
    }
}

impl<T: OnTimer> bindings::on_timer::exports::daca::agent::on_timer::Guest for T {
    fn on_timer(name: String, data: Vec<u8>) -> Result<(), types::Failure> {
        Ok(T::with(|agent| agent.on_timer(&name, &data))?)
    }
}

impl<T: OnEffectFailed> bindings::on_effect_failed::exports::daca::agent::on_effect_failed::Guest for T {
    fn on_effect_failed(
        effect: bindings::on_effect_failed::exports::daca::agent::on_effect_failed::FailedEffect,
        reason: types::Error,
    ) -> Result<(), types::Failure> {
        Ok(T::with(|agent| agent.on_effect_failed(effect.into(), reason.into()))?)
    }
}

impl<T: Migrate> bindings::migration::exports::daca::agent::migration::Guest for T {
    fn label() -> String {
        T::LABEL.to_owned()
    }

    fn keys(_from_label: String) -> Vec<String> {
        T::keys()
    }

    fn migrate(
        from_label: String,
        state: Vec<(String, Vec<u8>)>,
    ) -> Result<Vec<(String, Vec<u8>)>, types::Failure> {
        let mut state = Migration::new(state);
        T::with(|agent| agent.migrate(&from_label, &mut state))?;
        Ok(state.into_entries())
    }
}

/// The parameter of a method.
pub fn payload<T: DeserializeOwned>(method: &str, bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(json::or_null(bytes))
        .map_err(|e| Failure::Invalid(format!("{method} cannot use this payload: {e}")))
}

/// The data of a firing. `kind` is `reminder` or `timer`.
pub fn data<T: DeserializeOwned>(kind: &str, name: &str, bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(json::or_null(bytes))
        .map_err(|e| Failure::Invalid(format!("the data of the {kind} `{name}` cannot be used: {e}")))
}

/// The reply of a method, as bytes.
pub fn reply<T: Serialize, E: Into<Failure>>(method: &str, result: Result<T, E>) -> Result<Vec<u8>, Failure> {
    let value = result.map_err(Into::into)?;
    json::readable(&value).map_err(|reason| {
        Failure::Failed(format!("the reply of {method} cannot be written as JSON: {reason}"))
    })
}

/// The result of a hook.
pub fn done<E: Into<Failure>>(result: Result<(), E>) -> Result<(), Failure> {
    result.map_err(Into::into)
}

/// Keys, as an author writes them.
pub fn keys<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Vec<String> {
    keys.into_iter().map(Into::into).collect()
}

/// The failure for an unknown method.
#[cold]
pub fn unknown(method: &str, known: &[&str]) -> Failure {
    Failure::NotFound(format!("there is no method `{method}`; the methods are {}", known.join(", ")))
}

/// Uses an agent without an effect, so that a target without exports does not warn about an unused type.
pub const fn is_used<T: Agent>() {}

/// Generates an export. Only components have exports: on other targets nothing calls them, and their names would clash
/// where several agents share a program, as doc tests do.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($kind:ident $export:ident $agent:ident) => {
        #[cfg(target_family = "wasm")]
        $crate::rt::bindings::$kind::$export!($agent with_types_in $crate::rt::bindings::$kind);
        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::rt::is_used::<$agent>();
    };
}

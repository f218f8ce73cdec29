//! `daca:agent/bindings`: output bindings, called at once or as an effect.

use std::collections::BTreeMap;

use super::no_turn;
use super::scope::{check_name, denied};
use crate::backend::{BindingRequest, EffectRequest};
use crate::component::InstanceState;
use crate::component::bindings::daca::agent::bindings::{Error, Host, Response};

/// Metadata entries of one request, at most.
const MOST_METADATA: usize = 100;

impl Host for InstanceState {
    async fn invoke(
        &mut self,
        name: String,
        operation: String,
        data: Vec<u8>,
        metadata: Vec<(String, String)>,
    ) -> Result<Response, Error> {
        let request = permitted_request(self, name, operation, data, metadata)?;
        let options = &self.turn().map_err(no_turn)?.options;
        let response = options.backend.invoke_binding(&options.actor, &request, &options.context).await?;
        Ok(Response { data: response.data.into(), metadata: response.metadata.into_iter().collect() })
    }

    fn send(
        &mut self,
        name: String,
        operation: String,
        data: Vec<u8>,
        metadata: Vec<(String, String)>,
    ) -> Result<u32, Error> {
        let request = permitted_request(self, name, operation, data, metadata)?;
        self.turn().map_err(no_turn)?.stage_effect(EffectRequest::Send(request))
    }
}

fn permitted_request(
    state: &mut InstanceState,
    name: String,
    operation: String,
    data: Vec<u8>,
    metadata: Vec<(String, String)>,
) -> Result<BindingRequest, Error> {
    check_name("binding", &name)?;
    check_name("operation", &operation)?;
    let turn = state.turn().map_err(no_turn)?;
    if !turn.options.agent.permissions.may_use_binding(&name, &operation) {
        return Err(denied(state, "bindings", &format!("{name}/{operation}"), "use the binding"));
    }
    if metadata.len() > MOST_METADATA {
        return Err(Error::TooLarge(format!(
            "{} metadata entries; {MOST_METADATA} is the most",
            metadata.len()
        )));
    }
    let metadata_bytes = metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    turn.check_payload("the request", data.len() + metadata_bytes)?;
    let mut unique = BTreeMap::new();
    for (name, value) in metadata {
        if unique.contains_key(&name) {
            return Err(Error::Invalid(format!("the metadata name {name:?} is there twice")));
        }
        unique.insert(name, value);
    }
    Ok(BindingRequest { name, operation, data: data.into(), metadata: unique })
}

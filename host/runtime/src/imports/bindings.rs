//! `daca:agent/bindings`: output bindings, called at once or as an effect.

use super::Imports;
use std::collections::BTreeMap;

use super::scope::check_name;
use crate::contract::daca::agent::bindings::{Error, Host, Response};
use daca_model::backend::{self, BindingRequest, EffectRequest};

/// The maximum number of metadata entries of one request.
const MAX_METADATA: usize = 100;

/// Checks the number of metadata entries of a request.
pub(super) fn check_metadata_count(entries: usize) -> Result<(), Error> {
    if entries > MAX_METADATA {
        return Err(Error::TooLarge(format!("{entries} metadata entries; the maximum is {MAX_METADATA}")));
    }
    Ok(())
}

impl Host for Imports<'_> {
    async fn invoke(
        &mut self,
        name: String,
        operation: String,
        data: Vec<u8>,
        metadata: Vec<(String, String)>,
    ) -> Result<Response, Error> {
        let request = self.permitted_request(name, operation, data, metadata)?;
        let options = &self.scope.options;
        let invoked = options.backend.invoke_binding(&options.actor, &request, &options.context).await;
        let response = invoked.map_err(|error| match error {
            // The binding was not called. The binding's own answer may be permanent, and counts as the agent's failure.
            backend::Error::NotApplied(_) => self.scope.met(error.into()),
            error => error.into(),
        })?;
        Ok(Response { data: response.data.into(), metadata: response.metadata.into_iter().collect() })
    }

    fn send(
        &mut self,
        name: String,
        operation: String,
        data: Vec<u8>,
        metadata: Vec<(String, String)>,
    ) -> Result<u32, Error> {
        let request = self.permitted_request(name, operation, data, metadata)?;
        self.scope.stage_effect(EffectRequest::Send(request))
    }
}

impl Imports<'_> {
    fn permitted_request(
        &self,
        name: String,
        operation: String,
        data: Vec<u8>,
        metadata: Vec<(String, String)>,
    ) -> Result<BindingRequest, Error> {
        check_name("binding", &name)?;
        check_name("operation", &operation)?;
        let turn = &*self.scope;
        if !turn.options.agent.permissions.may_use_binding(&name, &operation) {
            return Err(self.denied("bindings", &format!("{name}/{operation}"), "use the binding"));
        }
        check_metadata_count(metadata.len())?;
        let metadata_bytes = metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        turn.check_payload("the request", data.len() + metadata_bytes)?;
        let mut unique = BTreeMap::new();
        for (name, value) in metadata {
            if unique.contains_key(&name) {
                return Err(Error::Invalid(format!("the metadata name {name:?} occurs twice")));
            }
            unique.insert(name, value);
        }
        Ok(BindingRequest { name, operation, data: data.into(), metadata: unique })
    }
}

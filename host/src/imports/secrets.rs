//! `daca:agent/secrets`: the secrets that the manifest grants.

use super::no_turn;
use super::scope::{check_name, denied};
use crate::component::InstanceState;
use crate::component::bindings::daca::agent::secrets::{Error, Host};

impl Host for InstanceState {
    async fn get(&mut self, name: String) -> Result<Vec<(String, String)>, Error> {
        check_name("secret", &name)?;
        let turn = self.turn().map_err(no_turn)?;
        if !turn.options.agent.permissions.may_read_secret(&name) {
            return Err(denied(self, "secrets", &name, "read the secret"));
        }
        match turn.options.backend.secret(&name).await.map_err(|error| turn.met(error.into()))? {
            Some(values) => Ok(values.into_iter().collect()),
            None => Err(Error::NotFound(format!("the secret store holds no secret {name:?}"))),
        }
    }
}

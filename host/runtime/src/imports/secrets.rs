//! `daca:agent/secrets`: the secrets that the manifest grants.

use super::Imports;
use super::scope::check_name;
use crate::contract::daca::agent::secrets::{Error, Host};

impl Host for Imports<'_> {
    async fn get(&mut self, name: String) -> Result<Vec<(String, String)>, Error> {
        check_name("secret", &name)?;
        let turn = &mut *self.scope;
        if !turn.options.agent.permissions.may_read_secret(&name) {
            return Err(self.denied("secrets", &name, "read the secret"));
        }
        match turn.options.backend.secret(&name).await.map_err(|error| turn.met(error.into()))? {
            Some(values) => Ok(values.into_iter().collect()),
            None => Err(Error::NotFound(format!("the secret store has no secret {name:?}"))),
        }
    }
}

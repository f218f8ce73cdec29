//! `daca:agent/state`: the actor's own keys and values.

use super::Imports;
use std::time::Duration;

use crate::contract::daca::agent::state::{Error, Host};
use daca_model::backend::{StateValue, StateWrite};

impl Host for Imports<'_> {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, Error> {
        let values = self.scope.read(&[key]).await?;
        Ok(values.into_iter().next().flatten().map(bytes))
    }

    async fn get_many(&mut self, keys: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let values = self.scope.read(&keys).await?;
        Ok(values.into_iter().map(|value| value.map(bytes)).collect())
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_seconds: Option<u32>) -> Result<(), Error> {
        if ttl_seconds == Some(0) {
            return Err(Error::Invalid(
                "a time to live of 0 seconds; leave it out, or delete the key".into(),
            ));
        }
        let ttl = ttl_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        self.scope.write(key, StateWrite::Set { value: value.into(), ttl })
    }

    fn delete(&mut self, key: String) -> Result<(), Error> {
        self.scope.write(key, StateWrite::Delete)
    }
}

fn bytes(value: StateValue) -> Vec<u8> {
    value.value.into()
}

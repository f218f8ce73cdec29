//! `wasi:config/store`: the settings of the agent type, and no others.

use super::Imports;
use crate::contract::wasi::config::store::{Error, Host};

impl Host for Imports<'_> {
    fn get(&mut self, key: String) -> Result<Option<String>, Error> {
        Ok(self.scope.options.agent.settings.get(&key).cloned())
    }

    fn get_all(&mut self) -> Result<Vec<(String, String)>, Error> {
        let settings = self.scope.options.agent.settings.iter();
        Ok(settings.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

//! `wasi:config/store`: the settings of the agent type, and no others.

use crate::component::InstanceState;
use crate::component::bindings::wasi::config::store::{Error, Host};

impl Host for InstanceState {
    fn get(&mut self, key: String) -> Result<Option<String>, Error> {
        let turn = self.turn().map_err(|error| Error::Upstream(error.to_string()))?;
        Ok(turn.options.agent.settings.get(&key).cloned())
    }

    fn get_all(&mut self) -> Result<Vec<(String, String)>, Error> {
        let turn = self.turn().map_err(|error| Error::Upstream(error.to_string()))?;
        let settings = turn.options.agent.settings.iter();
        Ok(settings.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

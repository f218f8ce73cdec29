//! The answers of the outside world, as the manifest gives them: secrets, and responses of bindings.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use daca_base::{ErrorCode, Explained, Explanation};
use daca_manifest::Manifest;

use super::database::OpenError;

/// The answers of the outside world, as the manifest gives them.
pub(super) struct ConfiguredAnswers {
    pub(super) secrets: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) binding_responses: BTreeMap<String, Bytes>,
}

impl ConfiguredAnswers {
    pub(super) fn read(manifest: &Manifest) -> Result<ConfiguredAnswers, StartError> {
        let secrets = match &manifest.embedded.secrets_file {
            Some(path) => read_secrets(path)?,
            None => BTreeMap::new(),
        };
        let responses = manifest.embedded.binding_responses.iter();
        let responses = responses.map(|(name, text)| (name.clone(), Bytes::from(text.clone())));
        Ok(ConfiguredAnswers { secrets, binding_responses: responses.collect() })
    }
}

/// Why the embedded backend cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state file.
    #[error(transparent)]
    State(#[from] OpenError),
    /// The file of secrets.
    #[error("{path}: {reason}")]
    Secrets {
        /// The file.
        path: std::path::PathBuf,
        /// The problem.
        reason: String,
    },
}

impl Explained for StartError {
    fn explanation(&self) -> Option<Explanation<'_>> {
        match self {
            StartError::State(error) => error.explanation(),
            StartError::Secrets { .. } => Some(Explanation::new(
                ErrorCode::SecretsUnreadable,
                "write a JSON object of names and strings, or of names and objects of strings",
            )),
        }
    }
}

/// Reads a file of secrets: `{"name": "value"}` or `{"name": {"key": "value"}}`.
pub fn read_secrets(path: &Path) -> Result<BTreeMap<String, BTreeMap<String, String>>, StartError> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Values {
        Single(String),
        Several(BTreeMap<String, String>),
    }
    let failed = |reason: String| StartError::Secrets { path: path.to_owned(), reason };
    let text = daca_base::text::read(path).map_err(|error| failed(error.to_string()))?;
    let secrets: BTreeMap<String, Values> = daca_base::json::read(text.as_bytes()).map_err(|error| {
        failed(match error {
            // The parser's message could quote a secret.
            daca_base::json::Error::Form(_) => "not of that form".to_owned(),
            error => error.to_string(),
        })
    })?;
    let by_key = |(name, values): (String, Values)| match values {
        Values::Single(value) => (name.clone(), BTreeMap::from([(name, value)])),
        Values::Several(values) => (name, values),
    };
    Ok(secrets.into_iter().map(by_key).collect())
}

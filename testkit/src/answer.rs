//! The answers of output bindings in a test.

use bytes::Bytes;
use daca_model::backend::{BindingResponse, Error};
use serde_json::Value;

/// An answer of a binding. A text and a JSON value convert into one. Nobody sees the response to `bindings.send`, only that it
/// failed.
#[derive(Debug, Clone)]
pub struct BindingAnswer(pub(crate) Result<BindingResponse, Error>);

impl BindingAnswer {
    /// These bytes.
    pub fn data(data: impl Into<Bytes>) -> BindingAnswer {
        BindingAnswer(Ok(BindingResponse { data: data.into(), ..BindingResponse::default() }))
    }

    /// The binding cannot be reached: the agent gets the error `unavailable`, and a sent effect is tried again as time passes.
    pub fn unavailable(reason: impl Into<String>) -> BindingAnswer {
        BindingAnswer(Err(Error::Unavailable(reason.into())))
    }

    /// The binding refuses the request: the agent gets the error `invalid`, and a sent effect is given up at once.
    pub fn invalid(reason: impl Into<String>) -> BindingAnswer {
        BindingAnswer(Err(Error::Invalid(reason.into())))
    }

    /// Adds metadata to the response, such as `statusCode` of Dapr's HTTP binding. A failure has none.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> BindingAnswer {
        if let Ok(response) = &mut self.0 {
            response.metadata.insert(name.into(), value.into());
        }
        self
    }
}

impl From<&str> for BindingAnswer {
    fn from(text: &str) -> BindingAnswer {
        BindingAnswer::data(text.to_owned())
    }
}

impl From<String> for BindingAnswer {
    fn from(text: String) -> BindingAnswer {
        BindingAnswer::data(text)
    }
}

impl From<Value> for BindingAnswer {
    fn from(value: Value) -> BindingAnswer {
        BindingAnswer::data(value.to_string())
    }
}

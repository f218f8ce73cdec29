//! The two kinds of errors: the host rejects a request, or the agent rejects a call.

use std::fmt;

use crate::rt::bindings::actor::daca::agent::types;
use crate::rt::bindings::actor::wasi::config::store;

/// Why the host rejected a request of the agent. The text is for people; match on the variant, or pass on
/// [`Error::code`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The host's manifest does not grant this to the agent type.
    Denied(String),
    /// The named item does not exist.
    NotFound(String),
    /// The request is invalid, and repeating it will not help. Also: a value of the agent cannot be written as JSON.
    Invalid(String),
    /// A store, broker, sidecar or actor cannot be reached now. A later attempt may succeed.
    Unavailable(String),
    /// A key, a value, a payload or a number of items exceeds a limit of the agent type.
    TooLarge(String),
    /// Any other error, such as the failure that a called actor returned.
    Other(String),
    /// The bytes are not JSON of the requested type. The host rejected nothing: the same call with another type may
    /// succeed.
    Undecodable(String),
}

impl Error {
    /// The name of the case, as the contract and the SDKs of other languages have it: `denied`, `not-found`, `invalid`,
    /// `unavailable`, `too-large` or `other`. The contract knows no [`Error::Undecodable`], whose code is `undecodable`.
    /// A code keeps its meaning, so an agent may store it, or send it to others.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::NotFound(_) => "not-found",
            Self::Invalid(_) => "invalid",
            Self::Unavailable(_) => "unavailable",
            Self::TooLarge(_) => "too-large",
            Self::Other(_) => "other",
            Self::Undecodable(_) => "undecodable",
        }
    }

    /// The text, without the case.
    pub fn message(&self) -> &str {
        match self {
            Self::Denied(text)
            | Self::NotFound(text)
            | Self::Invalid(text)
            | Self::Unavailable(text)
            | Self::TooLarge(text)
            | Self::Other(text)
            | Self::Undecodable(text) => text,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (case, text) = match self {
            Self::Denied(text) => ("denied", text),
            Self::NotFound(text) => ("not found", text),
            Self::Invalid(text) => ("invalid", text),
            Self::Unavailable(text) => ("unavailable", text),
            Self::TooLarge(text) => ("too large", text),
            Self::Undecodable(text) => ("undecodable", text),
            Self::Other(text) => return f.write_str(text),
        };
        f.write_str(case)?;
        f.write_str(": ")?;
        f.write_str(text)
    }
}

impl std::error::Error for Error {}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Denied(text) => Self::Denied(text),
            types::Error::NotFound(text) => Self::NotFound(text),
            types::Error::Invalid(text) => Self::Invalid(text),
            types::Error::Unavailable(text) => Self::Unavailable(text),
            types::Error::TooLarge(text) => Self::TooLarge(text),
            types::Error::Other(text) => Self::Other(text),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Upstream(text) => Self::Other(text),
            store::Error::Io(text) => Self::Unavailable(text),
        }
    }
}

/// Why the agent rejects a call, and whose fault it is. The caller gets the text, and an HTTP caller the status.
///
/// A call that ends with a failure changes nothing: everything that it staged is discarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller's fault: the payload cannot be used. Status 400.
    Invalid(String),
    /// The caller's fault: the method, or the item that it asks for, does not exist. Status 404.
    NotFound(String),
    /// The fault of the agent or of a system that it depends on. Status 500.
    Failed(String),
}

impl Failure {
    /// The payload cannot be used: status 400.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// The requested item does not exist: status 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound(message.into())
    }

    /// The call failed: status 500.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Invalid(text) | Self::NotFound(text) | Self::Failed(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(text) => Self::Invalid(text),
            Failure::NotFound(text) => Self::NotFound(text),
            Failure::Failed(text) => Self::Failed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_error_is_the_name_of_its_case_in_the_contract() {
        let why = || "why".to_owned();
        for (error, code) in [
            (types::Error::Denied(why()), "denied"),
            (types::Error::NotFound(why()), "not-found"),
            (types::Error::Invalid(why()), "invalid"),
            (types::Error::Unavailable(why()), "unavailable"),
            (types::Error::TooLarge(why()), "too-large"),
            (types::Error::Other(why()), "other"),
        ] {
            let error = Error::from(error);
            assert_eq!((error.code(), error.message()), (code, "why"));
        }
        let error = Error::Undecodable(why());
        assert_eq!((error.code(), error.message()), ("undecodable", "why"));
    }
}

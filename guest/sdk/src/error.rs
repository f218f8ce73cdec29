//! The two ways in which things go wrong: the host refuses, or the agent does.

use std::fmt;

use crate::rt::bindings::actor::daca::agent::types;
use crate::rt::bindings::actor::wasi::config::store;

/// Why the host did not do what the agent asked. The text is for people; match on the case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The host's manifest does not permit it to this agent type.
    Denied(String),
    /// What was named does not exist.
    NotFound(String),
    /// The request makes no sense as it stands, and will not when it is repeated. Also: a value of the agent's own
    /// that cannot be written as JSON.
    Invalid(String),
    /// It may work later: a store, broker, sidecar or actor cannot be reached now.
    Unavailable(String),
    /// A key, a value, a payload or a number of items exceeds a limit of the agent type.
    TooLarge(String),
    /// Anything else, such as the failure that a called actor answered with.
    Other(String),
    /// There are bytes, but they are not JSON of the type that was asked for. Nothing was refused: the same call for
    /// another type may do.
    Undecodable(String),
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

/// Why the agent refuses a call, and so whose fault it was. The caller gets the text, and an HTTP caller the status.
///
/// A call that ends with a failure changes nothing: all that it staged is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller's fault: the payload cannot be used. Status 400.
    Invalid(String),
    /// The caller's fault: there is no such method, or no such thing. Status 404.
    NotFound(String),
    /// The agent's fault, or the world's. Status 500.
    Failed(String),
}

impl Failure {
    /// The payload cannot be used: status 400.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// There is no such thing: status 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound(message.into())
    }

    /// It did not work: status 500.
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

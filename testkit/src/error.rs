//! Why a test's host did not start, and why it did not do what it was asked.

use std::path::PathBuf;
use std::time::Duration;

use daca_base::explanation::rendered;
use daca_manifest as manifest;
use daca_model::{AddressError, CallError};
use daca_runtime::component::EngineError;

/// Why a host did not start, or why another component does not serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The manifest, whether it was given or made from what the test said.
    #[error("{}", rendered(.0))]
    Manifest(manifest::Error),
    /// The manifest's file is not where the test says.
    #[error(
        "the manifest {0} is neither in the current folder nor in one above it\n  help: name it from the folder of the test's package, or from one above"
    )]
    ManifestMissing(PathBuf),
    /// A setting or a permission is for an agent type that there is not.
    #[error(
        "there is no agent type {name:?}\n  help: add it with .agent({name:?}, \"….wasm\"), or to the manifest"
    )]
    UnknownAgent {
        /// The type.
        name: String,
    },
    /// The component is not where the test or the manifest says.
    #[error("the component of {agent} is not there: {path}\n  help: {help}")]
    ComponentMissing {
        /// The agent type.
        agent: String,
        /// The file.
        path: PathBuf,
        /// The command that builds it.
        help: String,
    },
    /// The component was not read.
    #[error("the component of {agent} cannot be read: {path}: {reason}")]
    ComponentUnreadable {
        /// The agent type.
        agent: String,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// The deployer refused the component, or the change.
    #[error("the component of {agent} cannot serve: {reason}")]
    Refused {
        /// The agent type.
        agent: String,
        /// Why, with the stable code.
        reason: String,
    },
    /// The deployer did not start.
    #[error("{}", rendered(.0))]
    Deployer(daca_deploy::Error),
    /// The engine.
    #[error("{}", rendered(.0))]
    Engine(EngineError),
    /// The embedded backend.
    #[error("{}", rendered(.0))]
    Backend(daca_embedded::StartError),
    /// It took longer than the host's timeout: to compile, most likely.
    #[error(
        "the components were not compiled and tried within {0:?}\n  help: give it more time with .timeout(…)"
    )]
    TimedOut(Duration),
    /// The temporary folder for state.
    #[error("the temporary folder for state: {0}")]
    Folder(std::io::Error),
}

// By hand, because `#[from]` would make each the source of the error as well, and its message would be shown twice.
impl From<manifest::Error> for StartError {
    fn from(error: manifest::Error) -> StartError {
        StartError::Manifest(error)
    }
}

impl From<daca_deploy::Error> for StartError {
    fn from(error: daca_deploy::Error) -> StartError {
        StartError::Deployer(error)
    }
}

impl From<EngineError> for StartError {
    fn from(error: EngineError) -> StartError {
        StartError::Engine(error)
    }
}

impl From<daca_embedded::StartError> for StartError {
    fn from(error: daca_embedded::StartError) -> StartError {
        StartError::Backend(error)
    }
}

/// Why a host did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call was not answered.
    #[error(transparent)]
    Call(CallFailed),
    /// The test names no actor.
    #[error("{text:?} is no actor: {reason}\n  help: write TYPE/ID, such as Counter/a")]
    Address {
        /// What the test wrote.
        text: String,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// The test's payload is no JSON, or the reply is not of the type that the test wants.
    #[error("{what}: {reason}")]
    Json {
        /// Which of the two, of which call.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The test's request is none that HTTP knows.
    #[error(
        "{what}: {reason}\n  help: write a method such as POST, and a path such as /chat/user1, percent-encoded"
    )]
    Request {
        /// The method and the path.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An idempotency key that none can be.
    #[error("the key {0:?} cannot be used: {1}")]
    Key(String, daca_model::KeyError),
    /// Something took longer than the host's timeout.
    #[error(
        "{what} has not ended within {timeout:?}\n  help: look for turns that wait, and for timers with a short period; .timeout(…) gives it more time"
    )]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        timeout: Duration,
    },
    /// The state file.
    #[error("the state cannot be read: {0}")]
    State(#[from] daca_model::backend::Error),
    /// A time that no clock shows.
    #[error("the clock cannot be moved on by {0:?}")]
    TooFar(Duration),
}

/// A call that was not answered: the agent refused it, failed, or was stopped by the host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{actor}, {method}: error[{code}]: {message}")]
pub struct CallFailed {
    /// Whom the call was for, as `TYPE/ID`.
    pub actor: String,
    /// Which method.
    pub method: String,
    /// The stable code, which `docs/errors/` explains: `invalid`, `not-found` and `failed` are the agent's own.
    pub code: String,
    /// The HTTP status that a caller would get.
    pub status: u16,
    /// What the caller is told.
    pub message: String,
}

impl CallFailed {
    pub(crate) fn new(actor: &str, method: &str, error: &CallError) -> CallFailed {
        CallFailed {
            actor: actor.to_owned(),
            method: method.to_owned(),
            code: error.code().to_string(),
            status: daca_server::call_status(error).as_u16(),
            message: error.to_string(),
        }
    }
}

impl Error {
    /// The stable code of a call that was not answered. What is the test's own mistake, or the kit's, begins with `testkit-`.
    pub fn code(&self) -> &str {
        match self {
            Error::Call(failed) => &failed.code,
            Error::Address { .. } => "testkit-address",
            Error::Json { .. } => "testkit-json",
            Error::Request { .. } => "testkit-request",
            Error::Key(..) => "testkit-key",
            Error::TimedOut { .. } => "testkit-timed-out",
            Error::State(_) => "testkit-state",
            Error::TooFar(_) => "testkit-too-far",
        }
    }

    /// What the caller is told, for a call that was not answered.
    pub fn call(&self) -> Option<&CallFailed> {
        match self {
            Error::Call(failed) => Some(failed),
            _ => None,
        }
    }
}

//! The errors of a test's host: at its start, and in each step.
//!
//! The text of each error has the code and the help, because a failing test shows nothing else.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use daca_base::ErrorCode;
use daca_base::explanation::{framed, rendered};
use daca_manifest as manifest;
use daca_model::{AddressError, CallError};
use daca_runtime::component::EngineError;

/// A host did not start, or another component does not serve.
#[derive(Debug)]
pub enum StartError {
    /// The manifest is not valid, whether it was given or built from the test's settings.
    Manifest(manifest::Error),
    /// The manifest's file is not where the test says.
    ManifestMissing(PathBuf),
    /// A setting or a permission names an agent type that does not exist.
    UnknownAgent {
        /// The type.
        name: String,
    },
    /// The component is not where the test or the manifest says.
    ComponentMissing {
        /// The agent type.
        agent: String,
        /// The file.
        path: PathBuf,
        /// The command that builds it.
        help: String,
    },
    /// The component could not be read.
    ComponentUnreadable {
        /// The agent type.
        agent: String,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        reason: std::io::Error,
    },
    /// The deployer refused the component, or the change.
    Refused {
        /// The agent type.
        agent: String,
        /// Why, with the stable code.
        error: daca_deploy::Error,
    },
    /// The deployer did not start.
    Deployer(daca_deploy::Error),
    /// The engine.
    Engine(EngineError),
    /// The embedded backend.
    Backend(daca_embedded::StartError),
    /// The start took longer than the host's timeout, most likely to compile.
    TimedOut(Duration),
    /// The temporary folder for state.
    Folder(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, message, help) = match self {
            StartError::Manifest(error) => return f.write_str(&rendered(error)),
            StartError::Deployer(error) => return f.write_str(&rendered(error)),
            StartError::Engine(error) => return f.write_str(&rendered(error)),
            StartError::Backend(error) => return f.write_str(&rendered(error)),
            StartError::ManifestMissing(path) => (
                ErrorCode::ManifestUnreadable,
                format!("{} is neither in the current folder nor in one above it", path.display()),
                "name it from the folder of the test's package, or from one above".to_owned(),
            ),
            StartError::UnknownAgent { name } => (
                ErrorCode::AgentTypeUnknown,
                format!("there is no agent type {name:?}"),
                format!("add it with .agent({name:?}, \"….wasm\"), or to the manifest"),
            ),
            StartError::ComponentMissing { agent, path, help } => (
                ErrorCode::ComponentMissing,
                format!("the component of {agent} is not there: {}", path.display()),
                help.clone(),
            ),
            StartError::ComponentUnreadable { agent, path, reason } => (
                ErrorCode::ComponentMissing,
                format!("the component of {agent} cannot be read: {}: {reason}", path.display()),
                "look at the file's owner and mode".to_owned(),
            ),
            StartError::Refused { agent, error } => (
                error.code,
                format!("the component of {agent} cannot serve: {}", error.message),
                error.help.clone(),
            ),
            StartError::TimedOut(timeout) => (
                ErrorCode::TestkitTimedOut,
                format!("the components were not compiled and tried within {timeout:?}"),
                "give it more time with .timeout(…)".to_owned(),
            ),
            StartError::Folder(reason) => (
                ErrorCode::TestkitState,
                format!("the temporary folder for state: {reason}"),
                "look at the folder for temporary files (TMPDIR)".to_owned(),
            ),
        };
        f.write_str(&framed("error", &code, &message, Some(&help)))
    }
}

// The text has its cause already, so none has a source: it would be shown twice.
impl std::error::Error for StartError {}

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

/// A step of the test failed.
#[derive(Debug)]
pub enum Error {
    /// A call failed.
    Call(CallFailed),
    /// The test does not name an actor.
    Address {
        /// The text in the test.
        text: String,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// The test's payload cannot be written as JSON, or the reply is not of the expected type.
    Json {
        /// Which of the two, of which call.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// HTTP does not allow the test's request.
    Request {
        /// The method and the path.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The idempotency key is not valid.
    Key(String, daca_model::KeyError),
    /// Something took longer than the host's timeout.
    TimedOut {
        /// The step that took too long.
        what: String,
        /// How long.
        timeout: Duration,
    },
    /// The state file.
    State(daca_model::backend::Error),
    /// The clock cannot be moved that far.
    TooFar(Duration),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (message, help) = match self {
            Error::Call(failed) => return fmt::Display::fmt(failed, f),
            Error::Address { text, reason } => {
                (format!("{text:?} is not an actor: {reason}"), Some("write TYPE/ID, such as Counter/a"))
            }
            Error::Json { what, reason } => (format!("{what}: {reason}"), None),
            Error::Request { what, reason } => (
                format!("{what}: {reason}"),
                Some("write a method such as POST, and a path such as /chat/user1, percent-encoded"),
            ),
            Error::Key(key, reason) => (format!("the key {key:?} cannot be used: {reason}"), None),
            Error::TimedOut { what, timeout } => (
                format!("{what} has not ended within {timeout:?}"),
                Some(
                    "look for turns that wait, and for timers with a short period; .timeout(…) gives it more time",
                ),
            ),
            Error::State(reason) => (format!("the state cannot be read: {reason}"), None),
            Error::TooFar(time) => (format!("the clock cannot be moved on by {time:?}"), None),
        };
        f.write_str(&framed("error", &self.code(), &message, help))
    }
}

// As for `StartError`.
impl std::error::Error for Error {}

impl From<daca_model::backend::Error> for Error {
    fn from(error: daca_model::backend::Error) -> Error {
        Error::State(error)
    }
}

/// A failed call: the agent refused it, failed, or was stopped by the host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{actor}, {method}: {}", framed("error", .code, .message, None))]
pub struct CallFailed {
    /// The called actor, as `TYPE/ID`.
    pub actor: String,
    /// The method.
    pub method: String,
    /// The stable code, which `docs/errors/` explains: `invalid`, `not-found` and `failed` are the agent's own.
    pub code: String,
    /// The HTTP status that a caller would get.
    pub status: u16,
    /// The text that the caller gets.
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
    /// The stable code, which `docs/errors/` explains. Those of the test's own mistakes, and of the kit, begin with `testkit-`.
    pub fn code(&self) -> &str {
        let code = match self {
            Error::Call(failed) => return &failed.code,
            Error::Address { .. } => ErrorCode::TestkitAddress,
            Error::Json { .. } => ErrorCode::TestkitJson,
            Error::Request { .. } => ErrorCode::TestkitRequest,
            Error::Key(..) => ErrorCode::TestkitKey,
            Error::TimedOut { .. } => ErrorCode::TestkitTimedOut,
            Error::State(_) => ErrorCode::TestkitState,
            Error::TooFar(_) => ErrorCode::TestkitTooFar,
        };
        code.as_str()
    }

    /// The text that the caller gets, for a failed call.
    pub fn call(&self) -> Option<&CallFailed> {
        match self {
            Error::Call(failed) => Some(failed),
            _ => None,
        }
    }
}

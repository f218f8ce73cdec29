//! Why a host cannot start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use daca_base::ErrorCode;
use daca_dapr::EndpointError;
use daca_deploy as deploy;
use daca_embedded::StartError;
use daca_manifest as manifest;
use daca_runtime::component::EngineError;

/// Why a host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// A component that cannot serve.
    #[error("{manifest}:{line}: agents.{agent}.component\n{reason}")]
    Component {
        /// The manifest.
        manifest: String,
        /// The line that names the component.
        line: usize,
        /// The agent type.
        agent: Arc<str>,
        /// The reason.
        reason: Box<deploy::Error>,
    },
    /// The versions of the agent types could not be opened.
    #[error(transparent)]
    Deploy(#[from] Box<deploy::Error>),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The embedded backend.
    #[error(transparent)]
    Embedded(#[from] StartError),
    /// The sidecar's address.
    #[error(transparent)]
    Sidecar(#[from] EndpointError),
    /// The data folder.
    #[error(
        "error[{code}]: {path}: {reason}\n  help: name a writable folder with --data DIR",
        code = ErrorCode::DataUnwritable
    )]
    Data {
        /// The folder.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// Another running host uses the data folder.
    #[error(
        "error[{code}]: {0} is in use by another host\n  help: stop that host, or give this one a folder of its own with --data DIR",
        code = ErrorCode::DataInUse
    )]
    DataInUse(PathBuf),
    /// A port.
    #[error(
        "error[{code}]: {address}: {reason}\n  help: stop the program that listens there, or choose another address with {option}",
        code = ErrorCode::ListenFailed
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The option that sets it.
        option: &'static str,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// The operator's port would be open to the network.
    #[error(
        "error[{code}]: --admin {0} can be reached from other machines, and without a token the admin API lets anyone call every actor\n  help: set a token with --admin-token-file FILE or DACA_ADMIN_TOKEN, or name a loopback address such as 127.0.0.1:8001",
        code = ErrorCode::AdminNotLoopback
    )]
    AdminNotLoopback(SocketAddr),
}

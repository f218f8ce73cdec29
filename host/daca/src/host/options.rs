//! The configuration of a host, as its command line gives it.

use std::net::SocketAddr;
use std::path::PathBuf;

use daca_base::telemetry::Log;
use daca_dapr::SidecarOptions;
use secrecy::SecretString;

/// The options of a host.
#[derive(Clone)]
pub struct Options {
    /// The manifest.
    pub manifest: PathBuf,
    /// The address of the application's port.
    pub listen: SocketAddr,
    /// The address of the operator's port. A loopback address, unless there is a token.
    pub admin: SocketAddr,
    /// The token that requests to the operator's port must carry; without one everybody on this machine is admitted.
    pub admin_token: Option<SecretString>,
    /// The folder for state and compiled code.
    pub data: PathBuf,
    /// A folder of code that was compiled ahead of time.
    pub compiled: Option<PathBuf>,
    /// The backend for state, events and calls.
    pub backend: BackendOptions,
    /// A version that fails too often is rolled back. `false` for `daca dev`.
    pub rolls_back: bool,
    /// The log, whose last lines are available on the operator's port.
    pub log: Log,
}

/// The backend.
#[derive(Debug, Clone)]
pub enum BackendOptions {
    /// This process and one file.
    Embedded,
    /// A Dapr sidecar.
    Dapr {
        /// Its address.
        sidecar: SidecarOptions,
        /// The token of its callbacks (`APP_API_TOKEN`).
        app_token: Option<SecretString>,
    },
}

impl BackendOptions {
    /// The name, as the log and the admin API show it.
    pub fn name(&self) -> &'static str {
        match self {
            BackendOptions::Embedded => "embedded",
            BackendOptions::Dapr { .. } => "dapr",
        }
    }

    /// Returns `true` for a Dapr sidecar.
    pub(super) fn is_sidecar(&self) -> bool {
        matches!(self, BackendOptions::Dapr { .. })
    }
}

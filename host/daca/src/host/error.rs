//! Why a host cannot start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use daca_base::error_code::Class;
use daca_base::files::no_room;
use daca_base::{ErrorCode, Explained, Explanation};

/// The open files without which a host cannot reserve what it needs for itself.
pub(super) const MIN_DESCRIPTORS: usize = 256;

/// Why a host cannot start, besides the errors of its parts.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A component that cannot serve.
    #[error("{manifest}:{line}: agents.{agent}.component\n{reason}")]
    Component {
        /// The manifest.
        manifest: String,
        /// The line that names the component.
        line: usize,
        /// The agent type.
        agent: Arc<str>,
        /// The reason's code.
        code: ErrorCode,
        /// The reason, with its code and its help.
        reason: String,
    },
    /// The data folder.
    #[error("{path}: {reason}")]
    Data {
        /// The folder.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// Another running host uses the data folder.
    #[error("{0} is in use by another host")]
    DataInUse(PathBuf),
    /// A port.
    #[error("{address}: {reason}")]
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
        "--admin {0} can be reached from other machines, and without a token the admin API lets anyone call every actor"
    )]
    AdminNotLoopback(SocketAddr),
    /// The process may open too few files.
    #[error("the limit of open files is {0}, and a host needs {MIN_DESCRIPTORS}")]
    TooFewDescriptors(usize),
}

impl Error {
    /// Returns `true` if another build of a component may be all that is missing.
    pub(super) fn is_of_build(&self) -> bool {
        let Error::Component { code, .. } = self else { return false };
        matches!(code, ErrorCode::ComponentMissing | ErrorCode::ComponentTooLarge)
            || code.class() == Class::Unusable
    }
}

impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        let (code, help) = match self {
            // The reason has its own.
            Error::Component { .. } => return None,
            Error::Data { path, reason } => {
                let help =
                    no_room(path, reason).map(|help| format!("{help}, or name another with --data DIR"));
                let help = help.unwrap_or_else(|| "name a writable folder with --data DIR".to_owned());
                return Some(Explanation::new(ErrorCode::DataUnwritable, help));
            }
            Error::DataInUse(_) => {
                (ErrorCode::DataInUse, "stop that host, or give this one a folder of its own with --data DIR")
            }
            Error::Listen { option, .. } => {
                let help =
                    format!("stop the program that listens there, or choose another address with {option}");
                return Some(Explanation::new(ErrorCode::ListenFailed, help));
            }
            Error::AdminNotLoopback(_) => (
                ErrorCode::AdminNotLoopback,
                "set a token with --admin-token-file FILE or DACA_ADMIN_TOKEN, or name a loopback address such as 127.0.0.1:8001",
            ),
            Error::TooFewDescriptors(_) => {
                (ErrorCode::OpenFilesScarce, "raise it: ulimit -n, or LimitNOFILE of a systemd unit")
            }
        };
        Some(Explanation::new(code, help))
    }
}

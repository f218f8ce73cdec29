//! The connection to a host's admin port, and why a command has no answer.

use std::borrow::Cow;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;

use daca_base::address;
use daca_base::archive::ArchiveError;
use daca_base::error_code::AnyCode;
use daca_base::files::no_room;
use daca_base::json;
use daca_base::telemetry::printable;
use daca_base::{ErrorCode, Explained, Explanation};
use daca_model::admin::{CODE_HEADER, INITIATOR_HEADER, MAX_INITIATOR, Refusal};
use daca_model::{ActorAddress, AddressError, check_agent_type};

/// The timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout of a question, with its whole answer. A call or a deployment has none: a turn may take its time.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The maximum length of an answer in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// The maximum length of a refusal in bytes.
const MAX_REFUSAL: usize = 64 * 1024;
/// The help for a missing token.
const TOKEN_HELP: &str = "give the host's own token with --admin-token-file FILE or DACA_ADMIN_TOKEN";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the actor.
    #[error("{text:?} does not name an actor: {reason}")]
    Address {
        /// The given text.
        text: String,
        /// The problem.
        reason: AddressError,
    },
    /// The name of an agent type, which the host does not have.
    #[error("the host has no agent type {0:?}")]
    AgentType(String),
    /// The payload.
    #[error("the payload is not JSON: {0}")]
    Payload(json::Error),
    /// The component to be deployed.
    #[error("{what}: {reason}")]
    Component {
        /// The given text.
        what: String,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// A component above the maximum size.
    #[error("{what}: it has {bytes} bytes; the maximum is {}", daca_model::MAX_COMPONENT)]
    TooLarge {
        /// The file.
        what: String,
        /// Its size in bytes.
        bytes: usize,
    },
    /// A version's digest.
    #[error("{0:?} does not name a version")]
    Version(String),
    /// The signature of a component.
    #[error("{path}: {reason}")]
    Signature {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
    /// The address of the host.
    #[error("--admin {text:?}: {reason}")]
    AdminAddress {
        /// The given text.
        text: String,
        /// The problem.
        reason: String,
    },
    /// The host did not answer.
    #[error("{url}: {reason}")]
    Unreachable {
        /// The requested URL.
        url: String,
        /// The error of the connection.
        reason: String,
    },
    /// The host took the request, and did not answer in time.
    #[error("{address}: no answer within {limit:?}")]
    Silent {
        /// The address of the admin port.
        address: String,
        /// The time that it had.
        limit: Duration,
    },
    /// The host shut down while its log was followed.
    #[error("{0}")]
    HostEnded(String),
    /// The host or the agent refused the request.
    #[error("{status}: {detail}")]
    Refused {
        /// The code of the refusal.
        code: String,
        /// The HTTP status.
        status: u16,
        /// The text of the refusal.
        detail: String,
        /// What to do, if the host or this program knows.
        help: Option<String>,
    },
    /// The answer is not in the format of the admin API.
    #[error("the answer cannot be understood: {0}")]
    Answer(String),
    /// The output could not be written.
    #[error("standard output: {0}")]
    Output(std::io::Error),
    /// There is a file where a backup was to be written.
    #[error("{0} exists")]
    BackupExists(PathBuf),
    /// The file of a backup could not be written.
    #[error("{path}: {reason}")]
    BackupUnwritable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// The connection ended before the backup did.
    #[error("the backup is incomplete: {0}")]
    BackupCut(String),
    /// What arrived is not a whole backup.
    #[error("what the host sent cannot be used: {0}")]
    Backup(ArchiveError),
}

impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        let (code, help) = match self {
            // The code may be one of another build, and the host knows best what to do.
            Error::Refused { code, help, .. } => {
                let help = help.as_deref().map(Cow::Borrowed);
                return Some(Explanation { code: AnyCode::of(code), help });
            }
            Error::Address { .. } => {
                (ErrorCode::ActorIdInvalid, "write it as TYPE/ID, such as ChatAgent/user1")
            }
            Error::AgentType(_) => (ErrorCode::AgentTypeUnknown, "`daca ps` lists them"),
            Error::Payload(json::Error::TooDeep) => (ErrorCode::BodyTooDeep, "send it flatter"),
            Error::Payload(_) => (
                ErrorCode::BodyNotJson,
                "quote it for the shell, such as '{\"role\": \"user\", \"content\": \"Hi\"}'",
            ),
            Error::Component { .. } => (
                ErrorCode::ComponentMissing,
                "name the .wasm file, a script, or 8 to 64 digits of a version that `daca versions` lists",
            ),
            Error::TooLarge { .. } => {
                (ErrorCode::ComponentTooLarge, "build it with optimisation and without debug information")
            }
            Error::Version(_) => {
                (ErrorCode::VersionInvalid, "give 8 to 64 hexadecimal digits, as `daca versions` lists them")
            }
            Error::Signature { .. } => {
                (ErrorCode::SignatureUnreadable, "name the file that `daca sign` wrote")
            }
            Error::AdminAddress { .. } => {
                (ErrorCode::AdminAddressInvalid, "name the admin port as the host's log prints it")
            }
            Error::Unreachable { .. } => {
                (ErrorCode::HostUnreachable, "start it with `daca run`, or name its admin port with --admin")
            }
            Error::Silent { .. } => (
                ErrorCode::HostUnreachable,
                "ask again, and if nothing answers then, look at the host: its process may be stopped or overloaded",
            ),
            Error::HostEnded(_) => (ErrorCode::HostEnded, "follow the log again when the host is back"),
            Error::Answer(_) => (
                ErrorCode::AnswerUnreadable,
                "check that --admin names the admin port of a host of this version",
            ),
            Error::Output(_) => (ErrorCode::OutputFailed, "check its destination"),
            Error::BackupExists(_) => {
                (ErrorCode::BackupExists, "name another file, or replace this one with --force")
            }
            Error::BackupUnwritable { path, reason } => return Some(backup_unwritable(path, reason)),
            Error::BackupCut(_) => (
                ErrorCode::BackupCut,
                "take it again; if the host ended it, its log has the reason, with the code backup-failed",
            ),
            Error::Backup(error) => return error.explanation(),
        };
        Some(Explanation::new(code, help))
    }
}

fn backup_unwritable(path: &Path, reason: &std::io::Error) -> Explanation<'static> {
    let help = match no_room(path, reason) {
        Some(help) => format!("{help}, or name a file elsewhere with --output FILE"),
        None => "name a file in a folder that this user may write".to_owned(),
    };
    Explanation::new(ErrorCode::BackupUnwritable, help)
}

/// A host's admin port.
pub struct Admin {
    client: reqwest::Client,
    address: String,
    token: Option<SecretString>,
}

impl Admin {
    /// `address` is that of the admin port, such as `127.0.0.1:8001`. Nothing is sent yet.
    pub fn new(address: &str, token: Option<SecretString>) -> Result<Admin, Error> {
        let address = address::peer(address)
            .map_err(|reason| Error::AdminAddress { text: address.to_owned(), reason })?;
        // A call to a host on this machine must not go through a proxy of the environment, and its token must not go to
        // anybody else.
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none());
        let client = client.connect_timeout(CONNECT_TIMEOUT).build();
        let client =
            client.map_err(|error| Error::Unreachable { url: address.clone(), reason: causes(&error) })?;
        Ok(Admin { client, address, token })
    }

    /// A request to a path from [`path`].
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let changes_something = method != Method::GET;
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        if changes_something {
            request = request.header(INITIATOR_HEADER, by());
        }
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    /// Sends a request, and returns the answer once its head shows success.
    pub(super) async fn open(&self, request: RequestBuilder) -> Result<Response, Error> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response).await?)
    }

    /// Sends a request, and returns the body of the answer.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<String, Error> {
        let response = self.open(request).await?;
        let text = self.text(response, MAX_ANSWER).await?;
        text.ok_or_else(|| Error::Answer(format!("it has more than {MAX_ANSWER} bytes")))
    }

    /// Gets a path.
    pub(super) async fn get(&self, path: &str) -> Result<String, Error> {
        self.within(ANSWER_TIMEOUT, self.send(self.request(Method::GET, path))).await
    }

    /// Does a part of a command that has only this time.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        part: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(limit, part).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Error::Silent { address: self.address.clone(), limit }),
        }
    }

    /// The body of an answer; `None` if it is longer than this.
    async fn text(&self, mut response: Response, most: usize) -> Result<Option<String>, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            if body.len() + chunk.len() > most {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(String::from_utf8_lossy(&body).into_owned()))
    }

    async fn refusal(&self, response: Response) -> Result<Error, Error> {
        let status = response.status();
        let header = response.headers().get(CODE_HEADER).and_then(|code| code.to_str().ok());
        let header = header.map(str::to_owned);
        let text = self.text(response, MAX_REFUSAL).await?;
        let text = text.unwrap_or_else(|| format!("the reason has more than {MAX_REFUSAL} bytes"));
        let refusal = json::read::<Refusal>(text.as_bytes());
        let Refusal { detail, code, help } =
            refusal.unwrap_or(Refusal { detail: text, code: None, help: None });
        let token_help = || (status == StatusCode::UNAUTHORIZED).then(|| TOKEN_HELP.to_owned());
        Ok(Error::Refused {
            code: shown(&code.or(header).unwrap_or_else(|| ErrorCode::Failed.to_string())),
            status: status.as_u16(),
            detail: shown(&detail),
            help: help.map(|help| shown(&help)).or_else(token_help),
        })
    }

    pub(super) fn unreachable(&self, error: reqwest::Error) -> Error {
        let url = error.url().map_or_else(|| self.address.clone(), ToString::to_string);
        // The URL stands before the reason already.
        Error::Unreachable { url, reason: causes(&error.without_url()) }
    }
}

/// A path of the admin API from its parts, with a query of the given values.
pub(super) fn path(parts: &[&str], query: &[(&str, Option<&str>)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut path = parts.iter().map(|part| format!("/{}", encode(part))).collect::<String>();
    let values = query.iter().filter_map(|(name, value)| value.map(|value| (name, value)));
    for (number, (name, value)) in values.enumerate() {
        path.push_str(if number == 0 { "?" } else { "&" });
        path.push_str(&format!("{name}={}", encode(value)));
    }
    path
}

/// Parses `TYPE/ID`.
pub(super) fn actor(text: &str) -> Result<ActorAddress, Error> {
    text.parse().map_err(|reason| Error::Address { text: text.to_owned(), reason })
}

/// Rejects an invalid name of an agent type, which would change the path.
pub(super) fn agent_type(name: &str) -> Result<&str, Error> {
    check_agent_type(name).map(|()| name).map_err(|_| Error::AgentType(name.to_owned()))
}

/// Parses the JSON of an answer.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    json::read(text.as_bytes()).map_err(|error| Error::Answer(error.to_string()))
}

/// A host's text, made safe for a terminal line by line.
fn shown(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// reqwest's own text omits the cause.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The initiator, for the history: a hint for colleagues, which proves nothing.
fn by() -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let machine = machine.as_deref().map_or("unknown", str::trim);
    let name = format!("{}@{machine}", user.as_deref().unwrap_or("unknown"));
    name.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).take(MAX_INITIATOR).collect()
}

#[cfg(test)]
mod tests;

//! The connection to a host's admin port, and why a command has no answer.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use daca_base::address;
use daca_base::json;
use daca_base::telemetry::{Hidden, printable};
use daca_model::{ActorAddress, AddressError, check_agent_type};

/// A machine that says nothing at all counts as away after so long. An answer has no bound: a turn may take its time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What to do when a host refuses for want of its token.
const TOKEN_HELP: &str = "give the host's own token with --admin-token-file FILE or DACA_ADMIN_TOKEN";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the actor.
    #[error(
        "error[actor-id-invalid]: {text:?} does not name an actor: {reason}\n  help: write it as TYPE/ID, such as ChatAgent/user1"
    )]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// The name of an agent type, which the host does not have.
    #[error("error[agent-type-unknown]: the host has no agent type {0:?}\n  help: `daca ps` lists them")]
    AgentType(String),
    /// The payload.
    #[error(
        "error[body-not-json]: the payload is not JSON: {0}\n  help: quote it for the shell, such as '{{\"role\": \"user\", \"content\": \"Hi\"}}'"
    )]
    Payload(json::Error),
    /// What is to be deployed.
    #[error(
        "error[component-missing]: {what}: {reason}\n  help: name the .wasm file, or 8 to 64 digits of a version that `daca versions` lists"
    )]
    Component {
        /// What was given.
        what: String,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// A component that no host takes.
    #[error(
        "error[component-too-large]: {what}: it has {bytes} bytes; the maximum is {}\n  help: build it with optimisation and without debug information",
        daca_model::LARGEST_COMPONENT
    )]
    TooLarge {
        /// The file.
        what: String,
        /// Its bytes.
        bytes: usize,
    },
    /// A version's digest.
    #[error(
        "error[version-invalid]: {0:?} does not name a version\n  help: give 8 to 64 hexadecimal digits, as `daca versions` lists them"
    )]
    Version(String),
    /// The signature of a component.
    #[error("error[signature-unreadable]: {path}: {reason}\n  help: name the file that `daca sign` wrote")]
    Signature {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Where the host is to be.
    #[error(
        "error[admin-address-invalid]: --admin {text:?}: {reason}\n  help: name the admin port as the host's log prints it"
    )]
    AdminAddress {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host did not answer.
    #[error(
        "error[host-unreachable]: {url}: {reason}\n  help: start it with `daca run`, or name its admin port with --admin"
    )]
    Unreachable {
        /// What was called.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// The host ended while its log was followed.
    #[error("error[host-ended]: {0}\n  help: follow the log again when the host is back")]
    HostEnded(String),
    /// The host or the agent refused.
    #[error("error[{code}]: {status}: {detail}{}", help_line(.help.as_deref()))]
    Refused {
        /// The code of the refusal.
        code: String,
        /// The HTTP status.
        status: u16,
        /// What the host said.
        detail: String,
        /// What to do, when the host or this program knows.
        help: Option<String>,
    },
    /// The answer is not one of the admin API.
    #[error(
        "error[answer-unreadable]: the answer cannot be understood: {0}\n  help: check that --admin names the admin port of a host of this version"
    )]
    Answer(String),
    /// Nobody takes what is to be printed.
    #[error("error[output-failed]: standard output: {0}\n  help: check its destination")]
    Output(std::io::Error),
}

fn help_line(help: Option<&str>) -> String {
    help.map(|help| format!("\n  help: {help}")).unwrap_or_default()
}

/// A host's admin port.
pub struct Admin {
    client: reqwest::Client,
    address: String,
    token: Option<Hidden>,
}

/// Characters of the name under which somebody asks, at most.
const LONGEST_NAME: usize = 100;

/// How a host says no.
#[derive(Deserialize)]
struct Refusal {
    detail: String,
    code: Option<String>,
    help: Option<String>,
}

impl Admin {
    /// `address` is that of the admin port, such as `127.0.0.1:8001`. Nothing is sent yet.
    pub fn new(address: &str, token: Option<Hidden>) -> Result<Admin, Error> {
        let address = address::peer(address)
            .map_err(|reason| Error::AdminAddress { text: address.to_owned(), reason })?;
        // A call to a host on this machine must not go through a proxy of the environment, nor its token to anybody else.
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none());
        let client = client.connect_timeout(CONNECT_TIMEOUT).build();
        let client =
            client.map_err(|error| Error::Unreachable { url: address.clone(), reason: causes(&error) })?;
        Ok(Admin { client, address, token })
    }

    /// A request to a path, which [`path`] made.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let changes_something = method != Method::GET;
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        if changes_something {
            request = request.header("daca-by", by());
        }
        match &self.token {
            Some(token) => request.bearer_auth(&token.0),
            None => request,
        }
    }

    /// Sends a request, and answers once the head of the answer says that the host agrees.
    pub(super) async fn open(&self, request: RequestBuilder) -> Result<Response, Error> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response).await?)
    }

    /// Sends a request, and answers the body.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<String, Error> {
        self.open(request).await?.text().await.map_err(|error| self.unreachable(&error))
    }

    /// Gets a path.
    pub(super) async fn get(&self, path: &str) -> Result<String, Error> {
        self.send(self.request(Method::GET, path)).await
    }

    async fn refusal(&self, response: Response) -> Result<Error, Error> {
        let status = response.status();
        let header = response.headers().get("daca-error").and_then(|code| code.to_str().ok());
        let header = header.map(str::to_owned);
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        let refusal = json::read::<Refusal>(text.as_bytes());
        let Refusal { detail, code, help } =
            refusal.unwrap_or(Refusal { detail: text, code: None, help: None });
        let token_help = || (status == StatusCode::UNAUTHORIZED).then(|| TOKEN_HELP.to_owned());
        Ok(Error::Refused {
            code: shown(&code.or(header).unwrap_or_else(|| "failed".to_owned())),
            status: status.as_u16(),
            detail: shown(&detail),
            help: help.map(|help| shown(&help)).or_else(token_help),
        })
    }

    pub(super) fn unreachable(&self, error: &reqwest::Error) -> Error {
        let url = error.url().map_or_else(|| self.address.clone(), ToString::to_string);
        Error::Unreachable { url, reason: causes(error) }
    }
}

/// A path of the admin API from its parts, and a query from those of its values that there are.
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

/// Reads `TYPE/ID`.
pub(super) fn actor(text: &str) -> Result<ActorAddress, Error> {
    text.parse().map_err(|reason| Error::Address { text: text.to_owned(), reason })
}

/// Refuses what can be no agent type's name, and so would make another path of it.
pub(super) fn agent_type(name: &str) -> Result<&str, Error> {
    check_agent_type(name).map(|()| name).map_err(|_| Error::AgentType(name.to_owned()))
}

/// Reads the JSON of an answer.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    json::read(text.as_bytes()).map_err(|error| Error::Answer(error.to_string()))
}

/// A text of a host, line by line fit for a terminal.
fn shown(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// reqwest's own text leaves out why.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Who asks, for the history of what serves: a hint for colleagues, which proves nothing.
fn by() -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = format!("{}@{}", user.as_deref().unwrap_or("unknown"), machine.trim());
    name.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).take(LONGEST_NAME).collect()
}

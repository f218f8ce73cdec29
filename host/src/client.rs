//! `daca invoke`: calls an actor of a running host through its admin API.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::actor::{ActorAddress, AddressError};

/// Why a call has no reply.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the actor.
    #[error(
        "error[actor-id-invalid]: {text:?} names no actor: {reason}\n  help: write it as TYPE/ID, such as ChatAgent/user1"
    )]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// The payload.
    #[error(
        "error[body-not-json]: the payload is not JSON: {0}\n  help: quote it for the shell, such as '{{\"role\": \"user\", \"content\": \"Hi\"}}'"
    )]
    Payload(serde_json::Error),
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
    /// The host or the agent refused.
    #[error("error[{code}]: {status}: {detail}")]
    Refused {
        /// The code of the refusal.
        code: String,
        /// The HTTP status.
        status: u16,
        /// What the host said.
        detail: String,
    },
}

/// Calls a method and answers the reply's JSON. `admin` is the address of the host's admin port, such as `127.0.0.1:8001`.
pub async fn invoke(admin: &str, actor: &str, method: &str, payload: &str) -> Result<String, Error> {
    let address: ActorAddress =
        actor.parse().map_err(|reason| Error::Address { text: actor.to_owned(), reason })?;
    serde_json::from_str::<serde::de::IgnoredAny>(payload).map_err(Error::Payload)?;
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (id, method) = (encode(&address.id), encode(method));
    let url = format!("http://{admin}/actors/{}/{id}/method/{method}", address.agent_type);
    let unreachable = |error: reqwest::Error| Error::Unreachable { url: url.clone(), reason: causes(&error) };
    // A call to a host on this machine must not go through a proxy of the environment.
    let client = reqwest::Client::builder().no_proxy().build().map_err(unreachable)?;
    let response = client.post(&url).body(payload.to_owned()).send().await.map_err(unreachable)?;
    let status = response.status();
    let code = response
        .headers()
        .get("daca-error")
        .and_then(|code| code.to_str().ok())
        .unwrap_or("failed")
        .to_owned();
    let text = response.text().await.map_err(unreachable)?;
    if status.is_success() {
        return Ok(text);
    }
    let detail = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|body| body.get("detail").and_then(|detail| detail.as_str().map(str::to_owned)))
        .unwrap_or(text);
    Err(Error::Refused { code, status: status.as_u16(), detail })
}

/// reqwest's own text leaves out why.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

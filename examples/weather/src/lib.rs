//! The weather in a city, whose name is the actor's id. An HTTP service provides it through an output binding, and the agent
//! caches it.
//!
//! The binding is the agent's only way out, and the manifest names it. A failure says which part failed: the service was not
//! reached, it refused, or its answer was not understood.

use std::time::Duration;

use daca_sdk::bindings::{self, Response};
use daca_sdk::{Error, Failure, agent, config, identity, log, state};
use serde::{Deserialize, Serialize};

const BINDING: &str = "weather";
const CACHED: &str = "cached";
/// How long an answer is cached, unless the setting `keep-for-seconds` says otherwise.
const KEEP_FOR: Duration = Duration::from_secs(10 * 60);

#[derive(Default)]
struct Weather;

/// The part of the service's answer that is used here.
#[derive(Clone, Serialize, Deserialize)]
struct Conditions {
    celsius: f64,
    sky: String,
}

#[derive(Serialize)]
struct Report {
    city: String,
    #[serde(flatten)]
    conditions: Conditions,
    /// Whether the report comes from the cache.
    cached: bool,
}

#[agent]
impl Weather {
    /// The present weather, or that of a few minutes ago.
    pub fn now(&mut self) -> Result<Report, Failure> {
        let city = identity::actor_id();
        if let Some(conditions) = kept()? {
            return Ok(Report { city, conditions, cached: true });
        }
        let conditions = ask(&city)?;
        keep(&conditions)?;
        Ok(Report { city, conditions, cached: false })
    }
}

/// The cached answer. One in the form of an earlier version is ignored.
fn kept() -> Result<Option<Conditions>, Failure> {
    match state::get(CACHED) {
        Err(Error::Undecodable(reason)) => {
            log::warn!("the cached answer cannot be used: {reason}");
            Ok(None)
        }
        kept => Ok(kept?),
    }
}

fn keep(conditions: &Conditions) -> Result<(), Failure> {
    let keep_for = match config::get("keep-for-seconds")? {
        None => KEEP_FOR,
        Some(setting) => Duration::from_secs(setting.parse::<u64>().map_err(|error| {
            Failure::failed(format!("the setting keep-for-seconds is {setting:?}: {error}"))
        })?),
    };
    // A time to live of zero is not allowed.
    if keep_for.is_zero() { Ok(()) } else { Ok(state::set_with_ttl(CACHED, conditions, keep_for)?) }
}

/// Asks the service. The request is made at once, even if this call fails later, which is fine for reading.
fn ask(city: &str) -> Result<Conditions, Failure> {
    let path = format!("/v1/current?city={}", encoded(city));
    // By default Dapr's binding reports each status other than 2xx as a failure; here the agent handles the status
    // itself.
    let metadata = [("path", &*path), ("errorIfNot2XX", "false")];
    let response = bindings::invoke(BINDING, "get", b"", &metadata).map_err(|error| match error {
        Error::Unavailable(reason) => {
            Failure::failed(format!("the weather service was not reached: {reason}"))
        }
        error => error.into(),
    })?;
    match status(&response) {
        200 => response.json().map_err(|error| {
            Failure::failed(format!("the weather service answered something else: {error}"))
        }),
        404 => Err(Failure::not_found(format!("the weather service knows no city {city:?}"))),
        status => Err(Failure::failed(format!("the weather service answered the status {status}"))),
    }
}

/// The HTTP status of a response. The embedded backend, which calls no service, gives none.
fn status(response: &Response) -> u16 {
    let status = response.metadata.iter().find(|(name, _)| name == "statusCode");
    status.map_or(200, |(_, status)| status.parse().unwrap_or(0))
}

/// Percent-encodes a text for a URL's query.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

//! The tokens that identify the origin of a request: the sidecar (`APP_API_TOKEN`) or the operator.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::log_limit::LogLimit;

/// The header in which the sidecar sends its token.
const SIDECAR_HEADER: &str = "dapr-api-token";
/// Refusals are logged once in this time, with their number: guessing must not fill the log.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// The token that callbacks must carry.
#[derive(Clone)]
pub struct AppToken(Hashed, Arc<LogLimit>);

impl AppToken {
    /// From the value of `APP_API_TOKEN`.
    pub fn new(token: &str) -> AppToken {
        AppToken(Hashed::new(token), refusals())
    }

    /// The log lines about requests without it.
    pub(super) fn refusals(&self) -> &LogLimit {
        &self.1
    }

    /// Returns `true` if the headers carry it.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        self.0.is(headers.get(SIDECAR_HEADER).map(|given| given.as_bytes()))
    }
}

/// The token that requests to the operator's port must carry.
#[derive(Clone)]
pub struct AdminToken(Hashed, Arc<LogLimit>);

impl AdminToken {
    /// From the token's text.
    pub fn new(token: &str) -> AdminToken {
        AdminToken(Hashed::new(token), refusals())
    }

    /// The log lines about requests without it.
    pub(super) fn refusals(&self) -> &LogLimit {
        &self.1
    }

    /// Returns `true` if the headers carry it, as `Authorization: Bearer TOKEN`.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).map(|given| given.as_bytes());
        self.0.is(given.and_then(bearer))
    }
}

/// For the log lines of one token.
fn refusals() -> Arc<LogLimit> {
    Arc::new(LogLimit::every(LOG_PERIOD))
}

/// The part behind the scheme `Bearer`, in any case.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// A token, kept as a hash, so that comparing takes the same time for every guess.
#[derive(Clone)]
struct Hashed([u8; 32]);

impl Hashed {
    fn new(token: &str) -> Hashed {
        Hashed(Sha256::digest(token).into())
    }

    fn is(&self, given: Option<&[u8]>) -> bool {
        let given = given.map_or([0; 32], |given| Sha256::digest(given).into());
        self.0.ct_eq(&given).into()
    }
}

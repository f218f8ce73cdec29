//! The tokens that identify the origin of a request: the sidecar (`APP_API_TOKEN`) or the operator.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The header in which the sidecar sends its token.
const SIDECAR_HEADER: &str = "dapr-api-token";
/// Refusals are logged once in this time, with their number: guessing must not fill the log.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// The token that callbacks must carry.
#[derive(Clone)]
pub struct AppToken(Hashed, Refusals);

impl AppToken {
    /// From the value of `APP_API_TOKEN`.
    pub fn new(token: &str) -> AppToken {
        AppToken(Hashed::new(token), Refusals::default())
    }

    /// The requests without it.
    pub(super) fn refusals(&self) -> &Refusals {
        &self.1
    }

    /// Returns `true` if the headers carry it.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        self.0.is(headers.get(SIDECAR_HEADER).map(|given| given.as_bytes()))
    }
}

/// The requests that came without the right token, for the log.
#[derive(Clone, Default)]
pub(super) struct Refusals(Arc<Mutex<RefusedTokens>>);

#[derive(Default)]
struct RefusedTokens {
    untold: u64,
    told_at: Option<Instant>,
}

impl Refusals {
    /// Counts one. Returns the number since the last log line, if another line is due.
    pub(super) fn count(&self) -> Option<u64> {
        let mut refused = self.0.lock();
        refused.untold += 1;
        if refused.told_at.is_some_and(|at| at.elapsed() < LOG_PERIOD) {
            return None;
        }
        refused.told_at = Some(Instant::now());
        Some(std::mem::take(&mut refused.untold))
    }
}

/// The token that requests to the operator's port must carry.
#[derive(Clone)]
pub struct AdminToken(Hashed, Refusals);

impl AdminToken {
    /// From the token's text.
    pub fn new(token: &str) -> AdminToken {
        AdminToken(Hashed::new(token), Refusals::default())
    }

    /// The requests without it.
    pub(super) fn refusals(&self) -> &Refusals {
        &self.1
    }

    /// Returns `true` if the headers carry it, as `Authorization: Bearer TOKEN`.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).map(|given| given.as_bytes());
        self.0.is(given.and_then(bearer))
    }
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

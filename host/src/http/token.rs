//! The token by which the sidecar shows that a request is its own (`APP_API_TOKEN`).

use axum::http::HeaderMap;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The header in which the sidecar sends the token.
const HEADER: &str = "dapr-api-token";

/// The token that callbacks must carry. Kept as a hash, so that comparing takes the same time for every guess.
#[derive(Clone)]
pub struct AppToken([u8; 32]);

impl AppToken {
    /// From the value of `APP_API_TOKEN`.
    pub fn new(token: &str) -> AppToken {
        AppToken(Sha256::digest(token).into())
    }

    /// Do the headers carry it?
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(HEADER).map_or([0; 32], |given| Sha256::digest(given.as_bytes()).into());
        self.0.ct_eq(&given).into()
    }
}

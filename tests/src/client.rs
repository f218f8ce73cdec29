//! HTTP clients for servers on loopback, and whether a server is well.

use std::time::Duration;

use crate::wait::TIMEOUT;

/// How long a server that is well may take to say so.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A client for the servers on loopback: no proxy, and no call that hangs.
pub fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().timeout(TIMEOUT / 2).build()?)
}

/// Returns `true` if the answer to a GET is a success.
pub async fn is_well(client: &reqwest::Client, url: &str) -> bool {
    client.get(url).timeout(PROBE_TIMEOUT).send().await.is_ok_and(|answer| answer.status().is_success())
}

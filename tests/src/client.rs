//! HTTP clients for servers on loopback, and whether a server is well.

use std::time::Duration;

/// How long a server that is well may take to say so, on a busy machine.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for an answer. A host answers within its own bounds, such as 30 s for a turn: a client that gave up before it would
/// not learn what it says.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// A client for the servers on loopback: no proxy, and no call that hangs.
pub fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().timeout(ANSWER_TIMEOUT).build()?)
}

/// Returns `true` if the answer to a GET is a success.
pub async fn is_well(client: &reqwest::Client, url: &str) -> bool {
    client.get(url).timeout(PROBE_TIMEOUT).send().await.is_ok_and(|answer| answer.status().is_success())
}

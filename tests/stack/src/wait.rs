//! Waiting for what must happen soon.

use std::time::{Duration, Instant};

use anyhow::bail;

/// How long anything may take that must happen. Only what fails takes so long.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// How often one looks.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a server that is well may take to say so.
pub(crate) const PROBE_WITHIN: Duration = Duration::from_secs(2);

/// Waits until a check holds, for [`TIMEOUT`] at most.
pub async fn until(what: &str, check: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    until_within(TIMEOUT, what, check).await
}

/// The same with another time.
pub async fn until_within(time: Duration, what: &str, check: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !check().await {
        if start.elapsed() > time {
            bail!("{what} has not come within {} s", time.as_secs());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// A client for the servers on loopback: no proxy, and no call that hangs.
pub fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().timeout(TIMEOUT / 2).build()?)
}

/// Is the answer to a GET a success?
pub(crate) async fn answers(client: &reqwest::Client, url: &str) -> bool {
    client.get(url).timeout(PROBE_WITHIN).send().await.is_ok_and(|answer| answer.status().is_success())
}

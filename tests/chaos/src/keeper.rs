//! What a cluster's own keeper does: a server that has ended by itself is started again. And what it sees: which hosts are ready.

use std::convert::Infallible;
use std::time::Duration;

use daca_tests::{client, is_well};
use futures::future::join_all;

use crate::cluster::Cluster;
use crate::history::{History, HistoryEvent};

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// Keeps the servers up, until it is dropped. An error is one of this machine.
pub(crate) async fn keep(cluster: &Cluster, history: &History) -> anyhow::Result<Infallible> {
    loop {
        for server in cluster.servers() {
            let process = cluster.process(server)?;
            if let Some(status) = process.ended()
                && !cluster.is_held(server)
            {
                history.note(HistoryEvent::Ended { server, status: status.to_string() });
                process.start_again()?;
                history.note(HistoryEvent::Started(server));
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Writes down when a host becomes ready, and when it ceases to be, until this is dropped.
pub(crate) async fn observe(cluster: &Cluster, history: &History) -> anyhow::Result<Infallible> {
    let mut before = vec![None; cluster.hosts.len()];
    loop {
        for (host, is_ready) in readiness(cluster).await?.into_iter().enumerate() {
            if before[host] != Some(is_ready) {
                before[host] = Some(is_ready);
                history.note(HistoryEvent::Ready { host, is_ready });
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Which hosts are ready now.
pub(crate) async fn readiness(cluster: &Cluster) -> anyhow::Result<Vec<bool>> {
    let client = client()?;
    let looks = cluster.hosts.iter().map(|host| {
        let (client, url) = (client.clone(), host.app.url("/readyz"));
        async move { is_well(&client, &url).await }
    });
    Ok(join_all(looks).await)
}

//! Deployments under load: the same component, with a custom section that makes it another version.

use std::time::Duration;

use daca_tests::deploy::another;
use daca_tests::{Answer, Patience, guest};
use futures::future::try_join_all;
use serde_json::Value;

use super::context::{ACTORS, Workload};
use crate::history::{HistoryEvent, shortened};
use crate::manifest::{GUEST, TYPE};

/// How long the deployer pauses on the average.
const PAUSE: Duration = Duration::from_secs(20);
/// How long a deployment may take: compiling on a busy machine.
const DEPLOY_WITHIN: Duration = Duration::from_secs(180);
/// How long after the last fault hosts may differ. Only a failing run comes to its end: a starved machine takes a minute to
/// compile.
const AGREE_WITHIN: Patience =
    Patience::new(Duration::from_secs(360), Duration::from_millis(500)).retrying_errors();

/// Deploys one version after the other until it is over. Between faults some of it fails.
pub(super) async fn work(workload: &Workload<'_>) -> anyhow::Result<()> {
    let component = std::fs::read(guest(GUEST))?;
    let mut rng = workload.rng(2 * ACTORS as u64);
    for number in 0_u64.. {
        workload.pause(&mut rng, PAUSE).await;
        if workload.is_over() {
            break;
        }
        deploy(workload, &component, number).await.ok();
    }
    Ok(())
}

/// Deploys a last version, and waits until all hosts serve it. Answers what is wrong, if something is.
pub(crate) async fn agree(workload: &Workload<'_>) -> anyhow::Result<Option<String>> {
    let component = std::fs::read(guest(GUEST))?;
    let agreed = AGREE_WITHIN.until("all hosts serve the version that was deployed last", async || {
        let version = deploy(workload, &component, 2).await?;
        let serving = try_join_all((0..workload.cluster.hosts.len()).map(|host| serving(workload, host)));
        Ok(serving.await?.iter().all(|one| *one == version))
    });
    Ok(agreed.await.err().map(|error| format!("{error:#}")))
}

/// Deploys over a host; four versions take turns. Answers the digest.
async fn deploy(workload: &Workload<'_>, component: &[u8], number: u64) -> anyhow::Result<Value> {
    let (app, over) = workload.host(number);
    let url = app.admin_url(&format!("/agents/{TYPE}/component"));
    let component = another(component, u8::try_from(number % 4)?);
    let answer = Answer::of(workload.client.put(url).body(component).timeout(DEPLOY_WITHIN)).await;
    let said = match &answer {
        Ok(answer) => format!("{:?}", answer.outcome()),
        Err(error) => format!("{error:#}"),
    };
    workload.history.note(HistoryEvent::Swapped { over, said: shortened(&said) });
    let answer = answer?;
    anyhow::ensure!(answer.status == 200, "{said}");
    Ok(answer.body["version"].clone())
}

/// The digest of the version that a host serves.
async fn serving(workload: &Workload<'_>, host: usize) -> anyhow::Result<Value> {
    let app = &workload.cluster.hosts[host].app;
    let answer = Answer::of(workload.client.get(app.admin_url(&format!("/versions?type={TYPE}")))).await?;
    Ok(answer.body["agents"][0]["serving"].clone())
}

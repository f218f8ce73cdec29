//! Pods that come and go under load, from the service and from Kafka.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use daca_stack::Behaviour;

use crate::deployment::Deployment;
use crate::load::{Books, under_load};

const A_WHILE: Duration = Duration::from_secs(3);

pub(super) async fn with_grace(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    deployment.scale(1).await?;
    let (books, ()) = under_load(deployment, "scale", true, async || {
        tokio::time::sleep(A_WHILE).await;
        deployment.scale(3).await?;
        tokio::time::sleep(A_WHILE).await;
        deployment.scale(1).await
    })
    .await?;
    nothing_is_lost_or_doubled(deployment, &books, "scaled 1 → 3 → 1").await?;

    deployment.scale(2).await?;
    let (books, ()) = under_load(deployment, "restart", true, async || {
        deployment.cluster.kubectl(&["rollout", "restart", "deployment/chat-agent"]).await?;
        deployment.cluster.rolled_out("deployment/chat-agent").await?;
        deployment.settled(2).await
    })
    .await?;
    nothing_is_lost_or_doubled(deployment, &books, "kubectl rollout restart").await?;

    let (books, ()) = under_load(deployment, "deleted", true, async || {
        let pod = deployment.pod_names().await?.pop().context("no pod")?;
        tokio::time::sleep(A_WHILE).await;
        deployment.cluster.kubectl(&["delete", "pod", &pod]).await?;
        deployment.settled(2).await
    })
    .await?;
    nothing_is_lost_or_doubled(deployment, &books, "a pod deleted with its grace period").await
}

/// What cannot be sent does not hold up the actors of a pod that leaves.
pub(super) async fn while_sms_fail(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    deployment.scale(3).await?;
    deployment.twilio.behave(Behaviour::Answer(500));
    let result = under_load(deployment, "unsent", false, async || {
        tokio::time::sleep(A_WHILE).await;
        deployment.scale(1).await
    })
    .await;
    deployment.twilio.behave(Behaviour::Accept);
    let (books, ()) = result?;
    let found = books.compare(deployment, "scaled 3 → 1 while SMS fail").await?;
    ensure!(found.calls > 50 && found.is_as_it_should_be(), "{found:#?}");
    ensure!(books.failures_with_keys.is_empty(), "calls with keys failed");
    Ok(())
}

async fn nothing_is_lost_or_doubled(
    deployment: &Deployment<'_>,
    books: &Books,
    what: &str,
) -> anyhow::Result<()> {
    let found = books.compare(deployment, what).await?;
    ensure!(found.calls > 50 && found.messages > 50, "there was hardly any load: {found:?}");
    ensure!(found.is_as_it_should_be(), "{found:#?}");
    ensure!(books.failures_with_keys.is_empty(), "calls with keys failed");
    ensure!(found.sms_lost == 0 && found.sms_doubled == 0, "{found:#?}");
    Ok(())
}

/// What a pod was doing when it was killed may be done again for callers without a key, and its callers get an error; what was
/// acknowledged stays.
pub(super) async fn without_grace(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    deployment.scale(2).await?;
    let (books, ()) = under_load(deployment, "killed", true, async || {
        let pod = deployment.pod_names().await?.pop().context("no pod")?;
        tokio::time::sleep(A_WHILE).await;
        deployment.cluster.kubectl(&["delete", "pod", &pod, "--grace-period=0", "--force"]).await?;
        tokio::time::sleep(A_WHILE).await;
        deployment.settled(2).await
    })
    .await?;
    let found = books.compare(deployment, "a pod killed").await?;
    ensure!(found.calls > 50 && found.lost.is_empty(), "{found:#?}");
    ensure!(found.doubled_though_marked.is_empty(), "{found:#?}");
    Ok(())
}

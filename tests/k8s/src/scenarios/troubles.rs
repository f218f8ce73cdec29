//! What goes wrong around the pods: each says it in one line of its log, nobody who served stops, and what is mended works.

use anyhow::{Context as _, ensure};
use daca_tests::json_or_text;

use crate::cluster::eventually;
use crate::deployment::{CREDENTIALS, Deployment};

pub(super) async fn wrong_secret(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    deployment.scale(1).await?;
    deployment.apply_credentials(&CREDENTIALS[..2]).await?;
    let pod = new_pod(deployment).await?;
    says(deployment, &pod, "daprd", &["twilio-binding", "fromNumber"]).await?;
    says(deployment, &pod, "daca", &["WARN", "still waiting for the Dapr sidecar"]).await?;
    still_serves(deployment).await?;
    deployment.apply_credentials(&CREDENTIALS).await?;
    recovers(deployment).await
}

pub(super) async fn missing_component(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    deployment.scale(1).await?;
    deployment.cluster.kubectl(&["delete", "component", "statestore", "twilio-binding"]).await?;
    let pod = new_pod(deployment).await?;
    says(deployment, &pod, "daca", &["WARN", "it has no state store", "actorStateStore"]).await?;
    still_serves(deployment).await?;
    deployment.cluster.kubectl(&["apply", "-f", "components/statestore.yaml"]).await?;
    recovers(deployment).await?;
    // It serves without the binding, and says what it lacks.
    let pod = deployment.pod_names().await?.pop().context("no pod")?;
    says(
        deployment,
        &pod,
        "daca",
        &["WARN", "lacks components", "twilio-binding (permissions of ChatAgent)"],
    )
    .await?;
    deployment.cluster.kubectl(&["apply", "-f", "components/"]).await?;
    let pod = new_pod(deployment).await?;
    recovers(deployment).await?;
    let log = deployment.cluster.log(&pod, "daca").await?;
    ensure!(!log.contains("lacks components"), "{log}");
    Ok(())
}

/// What Redis held is gone with its pod, as on a minikube that is switched off.
pub(super) async fn redis_away(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    deployment.cluster.kubectl(&["scale", "deployment/redis", "--replicas=0"]).await?;
    deployment
        .cluster
        .kubectl(&["delete", "pod", "-l", "app.kubernetes.io/name=redis", "--ignore-not-found"])
        .await?;
    deployment.cluster.kubectl(&["delete", "pod", "-l", "app.kubernetes.io/name=chat-agent"]).await?;
    let pod = eventually("a new pod", async || Ok(deployment.pod_names().await?.pop())).await?;
    says(deployment, &pod, "daprd", &["Fatal error from runtime", "redis"]).await?;
    says(deployment, &pod, "daca", &["WARN", "still waiting for the Dapr sidecar"]).await?;
    deployment.cluster.kubectl(&["scale", "deployment/redis", "--replicas=1"]).await?;
    deployment.cluster.rolled_out("deployment/redis").await?;
    recovers(deployment).await
}

/// Starts a rollout, and answers the pod that it makes.
async fn new_pod(deployment: &Deployment<'_>) -> anyhow::Result<String> {
    let before = deployment.pod_names().await?;
    deployment.cluster.kubectl(&["rollout", "restart", "deployment/chat-agent"]).await?;
    eventually("a new pod", async || {
        Ok(deployment.pod_names().await?.into_iter().find(|pod| !before.contains(pod)))
    })
    .await
}

/// Waits for one line of a container's log, of this run of it or the one before, that has all these words.
async fn says(deployment: &Deployment<'_>, pod: &str, container: &str, words: &[&str]) -> anyhow::Result<()> {
    let line = eventually(&format!("{container} says {words:?}"), async || {
        let now = deployment.cluster.log(pod, container).await.unwrap_or_default();
        let before = deployment.cluster.kubectl(&["logs", pod, "-c", container, "--previous"]).await;
        let both = format!("{}\n{now}", before.unwrap_or_default());
        // daprd announces what it is about to do, too.
        let is_it = |line: &&str| {
            let is_trouble =
                container == "daca" || line.contains("level=error") || line.contains("level=fatal");
            is_trouble && words.iter().all(|word| line.contains(word))
        };
        Ok(both.lines().find(is_it).map(str::to_owned))
    })
    .await?;
    let line = json_or_text(line);
    println!("{container}: {}", line["message"].as_str().or(line.as_str()).unwrap_or_default());
    Ok(())
}

/// The pod of before is not replaced by one that cannot serve.
async fn still_serves(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    let (status, text) = deployment.say("troubled", "Are you there?").await?;
    ensure!(status == 200, "{status} {text}");
    Ok(())
}

async fn recovers(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    let start = std::time::Instant::now();
    deployment.cluster.rolled_out("deployment/chat-agent").await?;
    deployment.settled(1).await?;
    still_serves(deployment).await?;
    println!("mended: ready after {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

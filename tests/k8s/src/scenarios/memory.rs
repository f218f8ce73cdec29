//! What a pod holds with many active actors, against the limits of the manifests.

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use crate::cluster::eventually;
use crate::deployment::Deployment;

const ACTORS: usize = 10_000;
const CALLERS: usize = 16;

pub(super) async fn many_actors(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    deployment.scale(1).await?;
    let calls = futures::stream::iter(0..ACTORS).map(async |number| {
        let (status, text) = deployment.say(&format!("many-{number}"), "Hi").await?;
        ensure!(status == 200, "many-{number}: {status} {text}");
        Ok(())
    });
    calls.buffer_unordered(CALLERS).try_collect::<Vec<()>>().await?;
    let pod = deployment.pods().await?.pop().context("no pod")?;
    let admin = deployment.admins().await?.pop().context("no pod")?;
    let health = deployment.daca(&admin, &["ps"]).await?;
    println!("{}", health.trim());
    for container in ["daca", "daprd"] {
        let limit = limit(&pod, container).with_context(|| format!("{container} has no limit"))?;
        // The kubelet measures every few seconds.
        tokio::time::sleep(std::time::Duration::from_secs(15)).await;
        let used =
            eventually("the kubelet's measure", async || used(deployment, &pod, container).await).await?;
        println!("{container}: {:.0} MiB resident of {:.0} MiB allowed", used / MIB, limit / MIB);
        ensure!(used < limit * 0.8, "{container} is close to its limit");
    }
    Ok(())
}

const MIB: f64 = 1024.0 * 1024.0;

/// The working set of a container, in bytes, as the kubelet measures it (`/metrics/resource`).
async fn used(deployment: &Deployment<'_>, pod: &Value, container: &str) -> anyhow::Result<Option<f64>> {
    let node = pod["spec"]["nodeName"].as_str().context("the pod is on no node")?;
    let name = pod["metadata"]["name"].as_str().context("the pod has no name")?;
    let path = format!("/api/v1/nodes/{node}/proxy/metrics/resource");
    let metrics = deployment.cluster.kubectl(&["get", "--raw", &path]).await?;
    let of = |line: &&str| {
        line.starts_with("container_memory_working_set_bytes{")
            && line.contains(&format!("container=\"{container}\""))
            && line.contains(&format!("pod=\"{name}\""))
    };
    let line = metrics.lines().find(of);
    Ok(line.and_then(|line| line.split(' ').nth(1)?.parse().ok()))
}

/// The memory limit of a container, in bytes.
fn limit(pod: &Value, container: &str) -> Option<f64> {
    let containers = pod["spec"]["containers"].as_array()?;
    let found = containers.iter().find(|it| it["name"] == container)?;
    let text = found["resources"]["limits"]["memory"].as_str()?;
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = match unit {
        "Mi" => MIB,
        "Gi" => MIB * 1024.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * unit)
}

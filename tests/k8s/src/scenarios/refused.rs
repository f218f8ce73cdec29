//! A component in the ConfigMap that cannot serve: the pods go on, and say so where people look.

use std::time::Instant;

use anyhow::ensure;

use crate::cluster::eventually;
use crate::deployment::{Deployment, Logic};
use crate::load::under_load;

pub(super) async fn a_component_that_cannot_serve(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    let good = Logic::of_image()?;
    let result = pods_go_on(deployment, &good).await;
    // Also after a failure: what comes next begins with pods that can serve.
    deployment.apply_component(&good.wasm).await?;
    result
}

async fn pods_go_on(deployment: &Deployment<'_>, good: &Logic) -> anyhow::Result<()> {
    deployment.scale(3).await?;
    let before = deployment.restarts().await?;
    let admins = deployment.admins().await?;
    let damage = async || {
        deployment.apply_component(&good.wasm[..good.wasm.len() / 2]).await?;
        let start = Instant::now();
        for pod in deployment.pod_names().await? {
            let text = eventually("the pod says so", async || {
                let text = deployment.cluster.kubectl(&["describe", "pod", &pod]).await?;
                Ok(text.contains("ComponentRefused").then_some(text))
            })
            .await?;
            let line = text.lines().find(|line| line.contains("ComponentRefused")).unwrap_or_default();
            ensure!(line.contains("component-invalid") && line.contains("keeps serving"), "{line}");
            println!("{pod}, after {:.1} s: {}", start.elapsed().as_secs_f64(), line.trim());
        }
        anyhow::Ok(())
    };
    let (books, ()) = under_load(deployment, "refused", false, damage).await?;
    let found = books.compare(deployment, "a damaged component").await?;
    ensure!(books.none_failed() && found.is_as_it_should_be(), "{found:?}");
    deployment.all_serve(&admins, &good.version, Instant::now()).await?;
    let versions = deployment.daca(&admins[0], &["versions", "ChatAgent"]).await?;
    ensure!(versions.contains("refused") && versions.contains("component-invalid"), "{versions}");
    // A new pod, which has nothing but the damaged file, begins with what the others serve.
    deployment.scale(4).await?;
    let admins = deployment.admins().await?;
    deployment.all_serve(&admins, &good.version, Instant::now()).await?;
    ensure!(deployment.restarts().await? == before, "a container was started again");
    println!("a fourth pod serves the version of the others");
    Ok(())
}

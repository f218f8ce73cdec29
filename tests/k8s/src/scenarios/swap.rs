//! New logic without a restart: by the ConfigMap and by `daca deploy`, on three pods under load, and back.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::cluster::{Forward, scratch};
use crate::deployment::{Deployment, Logic};
use crate::load::under_load;

/// Load before the first swap and after the last.
const A_WHILE: Duration = Duration::from_secs(2);

pub(super) async fn both_ways(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    let old = Logic::of_image()?;
    let new = old.in_other_words()?;
    deployment.scale(3).await?;
    let before = deployment.restarts().await?;
    let admins = deployment.admins().await?;
    let service = deployment.cluster.forward("service/chat-agent-admin", 8001).await?;
    let swaps = async || {
        tokio::time::sleep(A_WHILE).await;
        for (logic, words) in [(&new, "You have written: Hello"), (&old, "Got your message: Hello")] {
            by_config_map(deployment, &admins, logic).await?;
            answers_with(deployment, words).await?;
        }
        for (logic, words) in [(&new, "You have written: Hello"), (&old, "Got your message: Hello")] {
            by_command(deployment, &admins, &service, logic).await?;
            answers_with(deployment, words).await?;
        }
        tokio::time::sleep(A_WHILE).await;
        anyhow::Ok(())
    };
    let (books, ()) = under_load(deployment, "swap", false, swaps).await?;
    let found = books.compare(deployment, "four swaps").await?;
    ensure!(books.none_failed(), "calls failed");
    ensure!(found.is_as_it_should_be(), "{found:?}");
    let restarts = deployment.restarts().await?.saturating_sub(before);
    ensure!(restarts == 0, "{restarts} restarts");
    Ok(())
}

async fn by_config_map(deployment: &Deployment<'_>, admins: &[Forward], logic: &Logic) -> anyhow::Result<()> {
    let start = Instant::now();
    deployment.apply_component(&logic.wasm).await?;
    let applied = start.elapsed();
    let (first, last) = deployment.all_serve(admins, &logic.version, start).await?;
    println!(
        "ConfigMap: applied in {:.1} s, the first of {} pods serves it after {:.1} s, the last after {:.1} s",
        applied.as_secs_f64(),
        admins.len(),
        first.as_secs_f64(),
        last.as_secs_f64()
    );
    Ok(())
}

async fn by_command(
    deployment: &Deployment<'_>,
    admins: &[Forward],
    service: &Forward,
    logic: &Logic,
) -> anyhow::Result<()> {
    let file = scratch()?.join("deployed.wasm");
    std::fs::write(&file, &logic.wasm)?;
    let start = Instant::now();
    let said = deployment.daca(service, &["deploy", "ChatAgent", &file.display().to_string()]).await?;
    let (first, last) = deployment.all_serve(admins, &logic.version, start).await?;
    println!(
        "daca deploy: the first of {} pods serves it after {:.1} s, the last after {:.1} s: {}",
        admins.len(),
        first.as_secs_f64(),
        last.as_secs_f64(),
        said.trim()
    );
    Ok(())
}

/// Enough actors that each pod has some.
async fn answers_with(deployment: &Deployment<'_>, words: &str) -> anyhow::Result<()> {
    for actor in 0..12 {
        let (status, text) = deployment.say(&format!("words-{actor}"), "Hello").await?;
        ensure!(status == 200 && text.contains(words), "{status} {text}, not {words:?}");
    }
    Ok(())
}

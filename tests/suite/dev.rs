//! `daca dev`: a mistake is told once and ends nothing, and what it does not do by itself is said.

use std::sync::Arc;

use daca_tests::{Host, eventually};
use serde_json::Value;
use tempfile::TempDir;

const SCRIPT: &str = r#"
import { agent } from "@daca/sdk";
class Talker {
  Say() { return "it serves"; }
}
export default agent(Talker);
"#;

const MANIFEST: &str = r#"[agents.Talker]
component = "agent.ts"

[[routes]]
method = "POST"
path = "/talkers/{id}"
agent = "Talker"
call = "Say"
actor-id = { path = "id" }
"#;

fn project(script: &str) -> anyhow::Result<Arc<TempDir>> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("agents.toml"), MANIFEST)?;
    save(&folder, script)?;
    Ok(Arc::new(folder))
}

fn save(folder: &TempDir, script: &str) -> anyhow::Result<()> {
    Ok(std::fs::write(folder.path().join("agent.ts"), script)?)
}

fn mistaken() -> String {
    SCRIPT.replace("class Talker {", "class Talker {{")
}

async fn until_told(host: &Host, code: &str) -> anyhow::Result<Value> {
    host.wait_for_log(code, |line| line["code"] == code).await
}

async fn until_answered(host: &Host, status: u16) -> anyhow::Result<()> {
    let is_so = async || anyhow::Ok(host.post("/talkers/a", &Value::Null).await?.status == status);
    eventually("the route answers so", is_so).await
}

#[tokio::test]
async fn a_mistake_at_the_first_start_is_waited_for() -> anyhow::Result<()> {
    let folder = project(&mistaken())?;
    let host = Host::launch_dev(folder.clone(), "")?;
    until_told(&host, "dev-not-served").await?;
    assert!(host.stop().await?.success(), "whoever waits may end it");

    let host = Host::launch_dev(folder.clone(), "")?;
    until_told(&host, "dev-not-served").await?;
    save(&folder, SCRIPT)?;
    until_answered(&host.ready().await?, 200).await
}

#[tokio::test]
async fn a_script_that_is_missing_is_named_and_waited_for() -> anyhow::Result<()> {
    const MISSING: &str = "error[component-missing]: agent.ts: ";
    let folder = project(SCRIPT)?;
    std::fs::remove_file(folder.path().join("agent.ts"))?;
    let host = Host::launch_dev(folder.clone(), "")?;
    let is_named = |line: &Value| line.as_str().is_some_and(|line| line.starts_with(MISSING));
    host.wait_for_log("the missing script", is_named).await?;
    until_told(&host, "dev-not-served").await?;
    save(&folder, SCRIPT)?;
    until_answered(&host.ready().await?, 200).await
}

#[tokio::test]
async fn a_refused_save_is_told_once_and_a_missing_method_at_each_save() -> anyhow::Result<()> {
    let folder = project(SCRIPT)?;
    let host = Host::start_dev(folder.clone(), "").await?;
    save(&folder, &mistaken())?;
    until_told(&host, "dev-not-served").await?;
    until_answered(&host, 200).await?;

    save(&folder, &SCRIPT.replace("Say() { return", "Say = () => { return"))?;
    let missing = until_told(&host, "script-lacks-method").await?;
    assert_eq!(missing["level"], "WARN");
    assert_eq!(missing["manifest_line"], 2);
    let text = missing["message"].as_str().unwrap_or_default();
    assert!(text.contains("\"Say\"") && text.contains("line 8 of the manifest"), "{text}");
    until_answered(&host, 404).await?;
    let refusals = host.log().into_iter().filter(|line| line["code"] == "script-invalid").count();
    assert_eq!(refusals, 0, "the line with dev-not-served tells of the refusal");
    Ok(())
}

/// Whoever looks for a mistake needs the version that has it.
#[tokio::test]
async fn a_save_whose_turns_fail_keeps_serving() -> anyhow::Result<()> {
    let folder = project(SCRIPT)?;
    let host = Host::start_dev(folder.clone(), "").await?;
    for _ in 0..12 {
        assert_eq!(host.post("/talkers/a", &Value::Null).await?.status, 200);
    }
    save(&folder, &SCRIPT.replace("return", "if (1) throw new Error(\"a mistake\"); return"))?;
    until_answered(&host, 500).await?;
    eventually("it is told", async || {
        assert_eq!(host.post("/talkers/a", &Value::Null).await?.status, 500);
        Ok(host.log().into_iter().any(|line| line["code"] == "dev-not-rolled-back"))
    })
    .await?;
    assert_eq!(host.post("/talkers/a", &Value::Null).await?.status, 500);
    Ok(())
}

#[tokio::test]
async fn a_change_of_the_manifest_is_said_to_need_a_restart() -> anyhow::Result<()> {
    let folder = project(SCRIPT)?;
    let host = Host::start_dev(folder.clone(), "").await?;
    std::fs::write(folder.path().join("agents.toml"), MANIFEST.replace("/talkers/", "/others/"))?;
    assert_eq!(until_told(&host, "dev-manifest-changed").await?["level"], "WARN");
    until_answered(&host, 200).await
}

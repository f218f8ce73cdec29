//! Whose components a host takes: on every way on which one comes.

use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use daca_tests::deploy::{component, done, refusal};
use daca_tests::{Answer, Ended, Host, eventually, message, run_in};
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

/// Runs `daca sign`, and answers what it printed.
async fn sign(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let Ended { code, stdout, stderr } = run_in(folder, [&["sign"], arguments].concat()).await?;
    ensure!(code == Some(0), "{stderr}");
    Ok(stdout)
}

/// The signature of a component by a key, both in the folder.
async fn signature(folder: &Path, key: &str, name: &str) -> anyhow::Result<String> {
    sign(folder, &["--key", key, name, "--out", "some.sig"]).await?;
    Ok(std::fs::read_to_string(folder.join("some.sig"))?.trim().to_owned())
}

/// A folder with a key of the manifest's signer, a key of somebody else, and components; the manifest.
async fn prepared() -> anyhow::Result<(Arc<TempDir>, String)> {
    let folder = Arc::new(TempDir::new()?);
    let signers = sign(folder.path(), &["--new-key", "own.pem"]).await?;
    sign(folder.path(), &["--new-key", "foreign.pem"]).await?;
    std::fs::write(folder.path().join("agent.wasm"), component("swapped_v1")?)?;
    std::fs::write(folder.path().join("new.wasm"), component("swapped_v2")?)?;
    sign(folder.path(), &["--key", "own.pem", "agent.wasm"]).await?;
    let manifest = format!("[agents.Swapped]\ncomponent = \"agent.wasm\"\n[deploy]\n{signers}");
    Ok((folder, manifest))
}

async fn send(host: &Host, wasm: &[u8], signature: Option<&str>) -> anyhow::Result<Answer> {
    let header = signature.map(|signature| ("daca-signature", signature));
    host.send_admin_with(Method::PUT, "/agents/Swapped/component", header, wasm.to_owned()).await
}

#[tokio::test]
async fn a_component_that_no_signer_has_signed_is_refused_by_the_admin_api() -> anyhow::Result<()> {
    let (folder, manifest) = prepared().await?;
    let host = Host::start_in(folder.clone(), &manifest).await?;
    let wasm = component("swapped_v2")?;
    let own = signature(folder.path(), "own.pem", "new.wasm").await?;
    let foreign = signature(folder.path(), "foreign.pem", "new.wasm").await?;
    let altered = [&wasm[..], &[0, 2, 1, b'n']].concat();
    for (what, wasm, signature, code) in [
        ("unsigned", &wasm, None, "component-unsigned"),
        ("signed by somebody else", &wasm, Some(&*foreign), "signature-foreign"),
        ("altered after it was signed", &altered, Some(&*own), "signature-foreign"),
        ("with text for a signature", &wasm, Some("signed"), "signature-invalid"),
    ] {
        let answer = send(&host, wasm, signature).await?;
        assert_eq!(refusal(&answer), (403, code), "{what}: {answer:?}");
        assert_eq!(host.serving("a").await?, "v1", "{what}");
        assert_eq!(host.last_event().await?["code"], code, "{what}");
    }
    done(send(&host, &wasm, Some(&own)).await?)?;
    assert_eq!(host.serving("a").await?, "v2");
    Ok(())
}

#[tokio::test]
async fn a_file_is_deployed_once_its_signature_is_there() -> anyhow::Result<()> {
    let (folder, manifest) = prepared().await?;
    let host = Host::start_in(folder.clone(), &manifest).await?;
    // The signature beside it is still that of the file before.
    std::fs::write(folder.path().join("agent.wasm"), component("swapped_v2")?)?;
    eventually("the file is refused", async || Ok(host.last_event().await?["code"] == "signature-foreign"))
        .await?;
    assert_eq!(host.serving("a").await?, "v1");
    sign(folder.path(), &["--key", "own.pem", "agent.wasm"]).await?;
    eventually("the file is deployed", async || Ok(host.serving("a").await? == "v2")).await
}

#[tokio::test]
async fn what_is_kept_serves_after_a_restart_only_with_its_signature() -> anyhow::Result<()> {
    let (folder, manifest) = prepared().await?;
    let host = Host::start_in(folder.clone(), &manifest).await?;
    let own = signature(folder.path(), "own.pem", "new.wasm").await?;
    let deployed = done(send(&host, &component("swapped_v2")?, Some(&own)).await?)?;
    host.stop().await?;
    let host = Host::start_in(folder.clone(), &manifest).await?;
    assert_eq!(host.serving("a").await?, "v2");
    let name = deployed["version"].as_str().unwrap_or_default();
    let kept = folder.path().join(format!("data/versions/Swapped/{name}.sig"));
    let foreign = signature(folder.path(), "foreign.pem", "new.wasm").await?;
    // A running host notices what the next start would refuse.
    let becomes = async |status: u16| {
        let is_so = async || anyhow::Ok(host.get("/readyz").await?.status == status);
        eventually(&format!("/readyz answers {status}"), is_so).await
    };
    for damage in [None, Some(&foreign)] {
        match damage {
            None => std::fs::remove_file(&kept)?,
            Some(text) => std::fs::write(&kept, text)?,
        }
        becomes(503).await?;
        // An editor may have put a byte order mark before it.
        std::fs::write(&kept, format!("\u{feff}{own}"))?;
        becomes(200).await?;
    }
    let is_loss = |line: &Value| line["code"] == "versions-missing" && message(line).contains(".sig: ");
    host.wait_for_log("the loss", is_loss).await?;
    std::fs::remove_file(&kept)?;
    becomes(503).await?;
    let again = done(send(&host, &component("swapped_v2")?, Some(&own)).await?)?;
    assert_eq!(again["stored_again"], true, "{again}");
    becomes(200).await?;
    host.stop().await?;
    std::fs::write(kept, foreign)?;
    let run = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data"];
    let Ended { code, stderr, .. } = run_in(folder.path(), run).await?;
    assert_eq!((code, stderr.matches("error[signature-foreign]: ").count()), (Some(1), 1), "{stderr}");
    Ok(())
}

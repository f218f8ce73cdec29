//! What was deployed lasts, and what was kept badly is not served.

use std::path::Path;
use std::sync::Arc;

use daca_tests::deploy::{component, done, refusal, swapped, version_of};
use daca_tests::{Ended, Host, eventually, guest, make_pipe, run_in};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

#[tokio::test]
async fn what_was_deployed_serves_after_a_crash() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    host.deploy_guest("swapped_v2", "").await?;
    let versions = host.versions().await?;
    let host = Host::start_in(host.kill()?, &swapped("")).await?;
    assert_eq!(host.serving("a").await?, "v2");
    let again = host.versions().await?;
    for part in ["revision", "serving", "history"] {
        assert_eq!(again[part], versions[part]);
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_changed_while_the_host_was_down_serves_at_once() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let file = folder.path().join("agent.wasm");
    let manifest = "[agents.Swapped]\ncomponent = \"agent.wasm\"\n";
    std::fs::copy(guest("swapped_v1"), &file)?;
    let host = Host::start_in(folder.clone(), manifest).await?;
    assert_eq!(host.add("a", 7).await?, 1);
    host.stop().await?;
    std::fs::copy(guest("swapped_v2"), &file)?;
    let host = Host::start_in(folder, manifest).await?;
    assert_eq!(host.entries("a").await?, ("v2".to_owned(), vec![7]));
    let event = host.last_event().await?;
    assert_eq!((&event["what"], &event["source"]), (&json!("deployed"), &json!("file")));
    Ok(())
}

/// The end of a host that cannot start in a folder.
async fn refused_start(folder: &Path) -> anyhow::Result<Ended> {
    let run = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data"];
    run_in(folder, run).await
}

#[tokio::test]
async fn a_host_does_not_start_on_versions_that_were_altered() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    host.deploy_guest("swapped_v2", "").await?;
    let folder = host.folder();
    host.stop().await?;
    let kept = folder.path().join("data/versions/Swapped");
    let version = kept.join(format!("{}.wasm", version_of(&component("swapped_v2")?)));
    for file in [kept.join("record.json"), version] {
        let whole = std::fs::read(&file)?;
        let mut altered = whole.clone();
        altered.truncate(whole.len() / 2);
        std::fs::write(&file, altered)?;
        let Ended { code, stderr, .. } = refused_start(folder.path()).await?;
        assert_eq!(code, Some(1), "{}: {stderr}", file.display());
        assert_eq!(stderr.matches("error[versions-unreadable]: ").count(), 1, "{stderr}");
        assert_eq!(stderr.matches("\n  help: ").count(), 1, "{stderr}");
        std::fs::write(&file, whole)?;
    }
    let host = Host::start_in(folder, &swapped("")).await?;
    assert_eq!(host.serving("a").await?, "v2");
    Ok(())
}

#[tokio::test]
async fn a_version_that_cannot_be_kept_does_not_serve() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let (kept, away) = (host.folder().path().join("data/versions"), host.folder().path().join("away"));
    std::fs::rename(&kept, &away)?;
    std::fs::write(&kept, "a file where a folder should be")?;
    let answer = host.deploy(&component("swapped_v2")?, "").await?;
    assert_eq!(refusal(&answer), (507, "versions-unwritable"), "{answer:?}");
    assert_eq!(host.serving("a").await?, "v1");
    let folder = TempDir::new()?;
    std::fs::create_dir(folder.path().join("data"))?;
    std::fs::write(folder.path().join("data/versions"), "a file where a folder should be")?;
    std::fs::write(folder.path().join("agents.toml"), swapped(""))?;
    let Ended { code, stderr, .. } = refused_start(folder.path()).await?;
    assert_eq!((code, stderr.matches("error[versions-unreadable]: ").count()), (Some(1), 1), "{stderr}");

    std::fs::remove_file(&kept)?;
    std::fs::rename(&away, &kept)?;
    done(host.deploy(&component("swapped_v2")?, "").await?)?;
    assert_eq!(host.serving("a").await?, "v2");
    Ok(())
}

/// The host keeps serving, so nobody would notice before the next start, which would serve something else.
#[tokio::test]
async fn versions_that_are_gone_are_said_and_the_next_start_does_not_pass_over_them() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    host.deploy_guest("swapped_v2", "").await?;
    let folder = host.folder();
    let (kept, away) = (folder.path().join("data/versions"), folder.path().join("away"));
    let is_ready = async |status: u16| anyhow::Ok(host.get("/readyz").await?.status == status);

    std::fs::rename(&kept, &away)?;
    eventually("it is not ready", async || is_ready(503).await).await?;
    assert_eq!(host.get("/readyz").await?.body, json!("deployed versions are missing"));
    assert_eq!(host.serving("a").await?, "v2", "it keeps serving");
    assert_eq!(refusal(&host.roll_back(false).await?), (507, "versions-unwritable"));
    let answer = host.deploy(&component("swapped_v1")?, "share=10").await?;
    assert_eq!(refusal(&answer), (507, "versions-unwritable"));
    assert!(!kept.exists(), "no empty folder takes its place");
    host.wait_for_log("the loss", |line| line["code"] == "versions-missing").await?;
    let said = host.log().iter().filter(|line| line["code"] == "versions-missing").count();
    assert_eq!(said, 1);
    std::fs::rename(&away, &kept)?;
    eventually("it is ready", async || is_ready(200).await).await?;

    // One file of a version, cut short and then removed.
    let version = kept.join(format!("Swapped/{}.wasm", version_of(&component("swapped_v2")?)));
    let whole = std::fs::read(&version)?;
    std::fs::write(&version, &whole[..whole.len() / 2])?;
    eventually("it is not ready", async || is_ready(503).await).await?;
    std::fs::remove_file(&version)?;
    host.stop().await?;
    let Ended { code, stderr, .. } = refused_start(folder.path()).await?;
    assert_eq!((code, stderr.matches("error[version-unknown]: ").count()), (Some(1), 1), "{stderr}");

    // With the record, nothing but a note says that another version than the manifest's served.
    std::fs::remove_dir_all(&kept)?;
    let Ended { code, stderr, .. } = refused_start(folder.path()).await?;
    assert_eq!((code, stderr.matches("error[versions-missing]: ").count()), (Some(1), 1), "{stderr}");
    assert!(!kept.exists());
    std::fs::remove_file(folder.path().join("data/serving/Swapped"))?;
    let host = Host::start_in(folder, &swapped("")).await?;
    assert_eq!(host.serving("a").await?, "v1", "whoever removes the note wants the manifest's component");
    Ok(())
}

/// The pages of the errors say so: whoever has the bytes need not know where they lie.
#[tokio::test]
async fn a_deployment_of_what_serves_stores_its_file_again_if_that_is_damaged() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    host.deploy_guest("swapped_v2", "").await?;
    let bytes = component("swapped_v2")?;
    let file = host.folder().path().join(format!("data/versions/Swapped/{}.wasm", version_of(&bytes)));
    let deploy = async || done(host.deploy(&bytes, "").await?);
    for damage in ["cut", "removed", "a pipe"] {
        match damage {
            "cut" => std::fs::write(&file, &bytes[..bytes.len() / 2])?,
            "removed" => std::fs::remove_file(&file)?,
            _ => {
                std::fs::remove_file(&file)?;
                make_pipe(&file)?;
            }
        }
        let answer = deploy().await?;
        assert_eq!(
            (&answer["outcome"], &answer["stored_again"]),
            (&json!("unchanged"), &json!(true)),
            "{damage}"
        );
        assert!(std::fs::read(&file)? == bytes, "{damage}");
        assert_eq!(host.get("/readyz").await?.status, 200, "{damage}");
        assert!(deploy().await?.get("stored_again").is_none(), "{damage}");
    }
    std::fs::remove_file(&file)?;
    std::fs::create_dir(&file)?;
    let refused = host.deploy(&bytes, "").await?;
    assert_eq!(refusal(&refused), (500, "versions-unreadable"), "{refused:?}");
    let is_whole = |help: &str| help.contains("move the folder away") && help.contains("deploy");
    assert!(is_whole(refused.body["help"].as_str().unwrap_or_default()), "{refused:?}");
    // Whoever takes a backup hears of the folder at once, and not of a deployment that it would prevent.
    let refused = host.send_admin(Method::POST, "/backup", "").await?;
    assert_eq!(refusal(&refused), (500, "versions-unreadable"), "{refused:?}");
    assert!(is_whole(refused.body["help"].as_str().unwrap_or_default()), "{refused:?}");
    std::fs::remove_dir(&file)?;
    deploy().await?;
    let host = Host::start_in(host.kill()?, &swapped("")).await?;
    assert_eq!(host.serving("a").await?, "v2");
    Ok(())
}

/// Whoever puts a backup in the place of a folder, or removes a file too many, need not restart the host.
#[tokio::test]
async fn a_copy_of_the_versions_is_as_good_and_a_record_that_is_removed_is_written_again()
-> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    host.deploy_guest("swapped_v2", "").await?;
    let data = host.folder().path().join("data");
    let record = data.join("versions/Swapped/record.json");
    std::fs::remove_file(&record)?;
    eventually("the record is there", async || Ok(record.exists())).await?;
    let is_ready = async |status: u16| anyhow::Ok(host.get("/readyz").await?.status == status);

    std::fs::rename(data.join("versions"), data.join("away"))?;
    eventually("it is not ready", async || is_ready(503).await).await?;
    let copied =
        std::process::Command::new("cp").args(["-a", "away", "versions"]).current_dir(&data).status()?;
    assert!(copied.success());
    eventually("it is ready", async || is_ready(200).await).await?;
    host.deploy_guest("swapped_v1", "").await?;
    assert_eq!(host.serving("a").await?, "v1");
    Ok(())
}

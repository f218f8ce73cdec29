//! Every way on which a version comes, alone and at the same time as others.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daca_tests::deploy::{another, component, done, refusal, swapped, version_of};
use daca_tests::{Answer, Ended, Host, LONGER_AND_LONGER, eventually, guest, run_in};
use futures::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shutdown::until_draining;

/// A host whose component is a file in its folder that holds `swapped_v1`; `file` is its path in there.
async fn host_of_file(folder: &Arc<TempDir>, file: &str) -> anyhow::Result<Host> {
    Host::start_in(folder.clone(), &format!("[agents.Swapped]\ncomponent = {file:?}\n")).await
}

async fn until_serves(host: &Host, version: &str) -> anyhow::Result<()> {
    eventually(version, async || Ok(host.serving("a").await? == version)).await?;
    eventually("the history says so", async || {
        let event = host.last_event().await?;
        Ok(event["what"] == "deployed" && event["source"] == "file")
    })
    .await
}

#[tokio::test]
async fn a_file_that_is_written_over_or_renamed_over_is_deployed() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let (file, new) = (folder.path().join("agent.wasm"), folder.path().join("new.wasm"));
    std::fs::copy(guest("swapped_v1"), &file)?;
    let host = host_of_file(&folder, "agent.wasm").await?;
    std::fs::write(&file, component("swapped_v2")?)?;
    until_serves(&host, "v2").await?;
    std::fs::copy(guest("swapped_v1"), &new)?;
    std::fs::rename(&new, &file)?;
    until_serves(&host, "v1").await?;
    // The name is one file now, and another one is written over it.
    std::fs::write(&file, component("swapped_v2")?)?;
    until_serves(&host, "v2").await
}

/// Fills a folder as Kubernetes fills a volume, with `..data` as the one link that changes, and renames it over the one before.
fn mount(volume: &Path, number: u32, guest_name: &str) -> anyhow::Result<()> {
    let content = format!("..content-{number}");
    std::fs::create_dir_all(volume.join(&content))?;
    std::fs::copy(guest(guest_name), volume.join(&content).join("agent.wasm"))?;
    symlink(&content, volume.join("..data_tmp"))?;
    std::fs::rename(volume.join("..data_tmp"), volume.join("..data"))?;
    if !volume.join("agent.wasm").exists() {
        symlink("..data/agent.wasm", volume.join("agent.wasm"))?;
    }
    if number > 1 {
        std::fs::remove_dir_all(volume.join(format!("..content-{}", number - 1)))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_volume_whose_data_link_is_swapped_is_deployed() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let volume = folder.path().join("volume");
    mount(&volume, 1, "swapped_v1")?;
    let host = host_of_file(&folder, "volume/agent.wasm").await?;
    for (number, guest_name, version) in [(2, "swapped_v2", "v2"), (3, "swapped_v1", "v1")] {
        mount(&volume, number, guest_name)?;
        until_serves(&host, version).await?;
    }
    Ok(())
}

#[tokio::test]
async fn half_a_component_is_never_served_while_a_file_is_written_slowly() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let file = folder.path().join("agent.wasm");
    std::fs::copy(guest("swapped_v1"), &file)?;
    let host = host_of_file(&folder, "agent.wasm").await?;
    let whole = component("swapped_v2")?;
    const PIECES: usize = 10;
    for piece in 0..PIECES {
        std::fs::write(&file, &whole[..whole.len() * piece / PIECES])?;
        for _ in 0..10 {
            assert_eq!(host.serving("a").await?, "v1", "{piece} of {PIECES} pieces are there");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    std::fs::write(&file, &whole)?;
    until_serves(&host, "v2").await?;
    let history = host.versions().await?["history"].as_array().cloned().unwrap_or_default();
    let deployed = history.iter().filter(|event| event["what"] == "deployed");
    let deployed = deployed.map(|event| event["version"].clone()).collect::<Vec<_>>();
    assert_eq!(deployed, [json!(version_of(&component("swapped_v1")?)), json!(version_of(&whole))]);
    Ok(())
}

#[tokio::test]
async fn a_version_in_a_mounted_folder_is_deployed_by_its_digest() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    std::fs::create_dir(folder.path().join("mounted"))?;
    std::fs::write(folder.path().join("mounted/any-name.wasm"), component("swapped_v2")?)?;
    let manifest = swapped("[deploy]\nversions = \"mounted\"\n");
    let host = Host::start_in(folder.clone(), &manifest).await?;
    let version = version_of(&component("swapped_v2")?);
    assert_eq!(host.versions().await?["versions"][1]["version"], version);
    // People may write the digits in capitals.
    done(host.deploy_kept(&version[..8].to_uppercase(), 100).await?)?;
    assert_eq!(host.serving("a").await?, "v2");
    // The volume may go: what serves is kept by the host.
    std::fs::remove_dir_all(folder.path().join("mounted"))?;
    let host = Host::start_in(host.kill()?, &manifest).await?;
    assert_eq!(host.serving("a").await?, "v2");
    Ok(())
}

#[tokio::test]
async fn the_command_deploys_a_file_and_goes_back() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let admin = ["--admin", host.admin.trim_start_matches("http://")];
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("new.wasm"), component("swapped_v2")?)?;
    for (arguments, version) in [
        (&["deploy", "Swapped", "new.wasm"][..], "v2"),
        (&["rollback", "Swapped"], "v1"),
        (&["deploy", "Swapped", &version_of(&component("swapped_v2")?)[..12]], "v2"),
    ] {
        let Ended { code, stderr, .. } = run_in(folder.path(), [arguments, &admin].concat()).await?;
        assert_eq!((code, &*stderr), (Some(0), ""), "{arguments:?}");
        assert_eq!(host.serving("a").await?, version, "{arguments:?}");
    }
    std::fs::write(folder.path().join("new.wasm"), "no component")?;
    let Ended { code, stderr, .. } =
        run_in(folder.path(), [&["deploy", "Swapped", "new.wasm"][..], &admin].concat()).await?;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("error[component-invalid]: ") && stderr.contains("\n  help: "), "{stderr}");
    assert_eq!(host.serving("a").await?, "v2");
    Ok(())
}

/// Asserts that an answer is that of a deployment that won, or of one that was told that another one did.
fn assert_won_or_told(answer: &Answer, all: &[String]) {
    match refusal(answer) {
        (200, _) => {}
        (409, "deploy-conflict") => {
            let detail = answer.body["detail"].as_str().unwrap_or_default();
            assert!(all.iter().any(|version| detail.contains(&version[..12])), "told what serves: {detail}");
        }
        _ => panic!("neither won nor told: {answer:?}"),
    }
}

/// The version of the last deployment that won.
fn last_winner(answers: &[Answer]) -> Value {
    let won = answers.iter().filter(|answer| answer.status == 200);
    let last = won.max_by_key(|answer| answer.body["revision"].as_u64());
    last.map(|answer| answer.body["version"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn of_two_deployments_at_once_one_wins_and_the_other_is_told_what_serves() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let wasm = component("swapped_v2")?;
    for round in 0..8 {
        let two = [another(&wasm, 2 * round), another(&wasm, 2 * round + 1)];
        let versions = two.each_ref().map(|component| version_of(component));
        let answers = join_all(two.iter().map(|component| host.deploy(component, ""))).await;
        let answers = answers.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        answers.iter().for_each(|answer| assert_won_or_told(answer, &versions));
        assert_eq!(host.versions().await?["serving"], last_winner(&answers), "{answers:?}");
    }
    Ok(())
}

/// What serves must lie in the data folder, or the next start fails.
#[tokio::test]
async fn refusals_beside_a_deployment_take_nothing_away_from_it() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let kept = host.folder().path().join("data/versions/Swapped");
    let wasm = component("swapped_v2")?;
    for number in 0..10 {
        let good = another(&wasm, number);
        let refused = (0..10).map(async |bad: u8| {
            tokio::time::sleep(Duration::from_millis(20) * u32::from(bad)).await;
            host.deploy(&[b'x', number, bad], "").await
        });
        let (deployed, refused) = futures::join!(host.deploy(&good, ""), join_all(refused));
        assert_eq!(deployed?.status, 200);
        for answer in refused {
            let answer = answer?;
            let is_told = matches!(refusal(&answer), (422, "component-invalid") | (503, "deploy-busy"));
            assert!(is_told, "{answer:?}");
        }
        assert_eq!(host.versions().await?["serving"], json!(version_of(&good)));
        assert!(kept.join(format!("{}.wasm", version_of(&good))).exists(), "deployment {number}");
    }
    Ok(())
}

#[tokio::test]
async fn ten_deployments_a_second_are_all_answered_and_no_call_fails_meanwhile() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let two = [component("swapped_v2")?, component("swapped_v1")?];
    let versions = two.each_ref().map(|component| version_of(component));
    // None waits for the one before.
    let deployments = (0..20).map(async |number: u32| {
        tokio::time::sleep(Duration::from_millis(100) * number).await;
        host.deploy(&two[(number % 2) as usize], "").await
    });
    let calls = async {
        for number in 0..200 {
            host.add("a", number).await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    let (answers, calls) = futures::join!(join_all(deployments), calls);
    calls?;
    let answers = answers.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let is_busy = |answer: &&Answer| refusal(answer) == (503, "deploy-busy");
    let (_too_many, answers) = answers.iter().partition::<Vec<_>, _>(is_busy);
    answers.iter().for_each(|answer| assert_won_or_told(answer, &versions));
    let last = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .max_by_key(|answer| answer.body["revision"].as_u64());
    assert_eq!(Some(&host.versions().await?["serving"]), last.map(|answer| &answer.body["version"]));
    assert_eq!(host.entries("a").await?.1, (0..200).collect::<Vec<_>>());
    Ok(())
}

/// Whoever sends a component slowly holds the bytes that have arrived, and no permit.
#[tokio::test]
async fn slow_uploads_keep_nobody_from_deploying() -> anyhow::Result<()> {
    const ASKED: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let host = Host::start(&swapped("")).await?;
    let head = "PUT /agents/Swapped/component HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n";
    let mut slow = Vec::new();
    for number in 0..8 {
        let mut stream = TcpStream::connect(host.admin.trim_start_matches("http://"))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.write_all(head.as_bytes())?;
        // The host asks for the body as soon as it reads it.
        let mut answer = [0; ASKED.len()];
        stream.read_exact(&mut answer)?;
        assert_eq!(String::from_utf8_lossy(&answer), String::from_utf8_lossy(ASKED), "upload {number}");
        slow.push(stream);
    }
    assert_eq!(host.deploy_guest("swapped_v2", "").await?["outcome"], "deployed");
    Ok(())
}

#[tokio::test]
async fn a_deployment_during_the_drain_is_refused_and_changes_nothing() -> anyhow::Result<()> {
    // On a busy machine the turn may be over before the deployment: then once more, with more time.
    for ms in LONGER_AND_LONGER {
        if is_refused_while_a_turn_ends(ms).await? {
            return Ok(());
        }
    }
    anyhow::bail!("each turn had ended before the deployment")
}

/// Answers `false` if the turn ended too early to show anything.
async fn is_refused_while_a_turn_ends(ms: u64) -> anyhow::Result<bool> {
    let grace = "[host]\nshutdown-grace = \"50s\"\n";
    let host = Arc::new(Host::start(&(swapped("") + grace)).await?);
    let slow = host.begin("Swapped/a", "Sleep", &json!({"ms": ms}));
    if !host.is_caught("Swapped/a", 0, &slow).await? {
        return Ok(false);
    }
    host.signal("TERM")?;
    until_draining(&host).await?;
    let status = host.get_admin("/health").await.map(|answer| answer.body["status"].clone());
    let deployed = host.deploy(&component("swapped_v2")?, "").await;
    let rolled_back = host.roll_back(false).await;
    if slow.is_finished() {
        return Ok(false);
    }
    assert_eq!(status?, "shutting-down");
    let deployed = deployed?;
    assert_eq!(refusal(&deployed), (503, "host-shutting-down"), "{deployed:?}");
    assert_eq!(refusal(&rolled_back?), (503, "host-shutting-down"));
    assert_eq!(slow.await??.body["version"], "v1");
    let folder = host.folder();
    let mut host = Arc::try_unwrap(host).map_err(|_| anyhow::anyhow!("a call still holds the host"))?;
    assert_eq!(host.wait().await?.code(), Some(0));
    drop(host);
    let host = Host::start_in(folder, &swapped("")).await?;
    assert_eq!(host.serving("a").await?, "v1");
    let versions = host.versions().await?;
    assert_eq!((&versions["revision"], versions["history"].as_array().map(Vec::len)), (&json!(1), Some(1)));
    Ok(true)
}

#[tokio::test]
async fn what_serves_already_is_not_deployed_again() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    host.deploy_guest("swapped_v2", "").await?;
    host.add("a", 7).await?;
    let before = host.versions().await?;
    let instances =
        async || anyhow::Ok(host.get_admin("/agents").await?.body["agents"][0]["instances_made"].clone());
    let made = instances().await?;
    let deployed = host.deploy_guest("swapped_v2", "").await?;
    assert_eq!((&deployed["outcome"], &deployed["revision"]), (&json!("unchanged"), &before["revision"]));
    assert_eq!(host.versions().await?, before, "nothing is noted");
    assert_eq!(host.add("a", 8).await?, 2);
    assert_eq!(
        (made.as_u64(), instances().await?.as_u64()),
        (Some(1), Some(1)),
        "the instance is the one of before"
    );
    Ok(())
}

#[tokio::test]
async fn a_canary_is_not_deployed_again_either() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let first = host.deploy_guest("swapped_v2", "share=10").await?;
    let again = host.deploy_guest("swapped_v2", "share=10").await?;
    assert_eq!((&again["outcome"], &again["revision"]), (&json!("unchanged"), &first["revision"]));
    // What serves all others ends the canary: that is a change.
    let ended = host.deploy_guest("swapped_v1", "").await?;
    assert_eq!(ended["outcome"], "deployed");
    assert_eq!(host.versions().await?["canary"], Value::Null);
    Ok(())
}

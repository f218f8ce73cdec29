//! What was acknowledged is on disk: after a crash, on a full disk, in a damaged file.

mod backup;
mod effects;
mod fail_points;
mod restore;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use daca_tests::{Host, default_manifest, eventually, exerciser, make_pipe, run_in};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shutdown::is_state_on_disk;

#[tokio::test]
async fn every_acknowledged_write_survives_kill_9() -> anyhow::Result<()> {
    const CLIENTS: usize = 16;
    const ROUNDS: usize = 3;
    let manifest = exerciser("");
    let mut folder = Arc::new(TempDir::new()?);
    // What each client's actor must have, by key.
    let mut acknowledged = vec![Vec::<(String, Value)>::new(); CLIENTS];
    for round in 0..ROUNDS {
        let host = Arc::new(Host::start_in(folder, &manifest).await?);
        let answered = Arc::new(AtomicUsize::new(0));
        let clients = (0..CLIENTS).map(|client| {
            let (host, answered) = (host.clone(), answered.clone());
            tokio::spawn(async move {
                let mut written = Vec::new();
                for n in 0.. {
                    let (key, value) = (format!("{round}-{n}"), json!([client, round, n]));
                    let write = json!({"key": key, "value": value});
                    // The end of the connection, in the middle of a request, is what this is about.
                    match host.invoke(&format!("Exerciser/{client}"), "SetState", &write).await {
                        Ok(answer) if answer.status == 200 => written.push((key, value)),
                        Ok(answer) => anyhow::bail!("{answer:?}"),
                        Err(_) => break,
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(written)
            })
        });
        let clients = clients.collect::<Vec<_>>();
        eventually("a few hundred writes", async || Ok(answered.load(Ordering::Relaxed) >= 300)).await?;
        host.signal("KILL")?;
        for (client, written) in clients.into_iter().enumerate() {
            acknowledged[client].extend(written.await??);
        }
        folder = host.folder();
        drop(host);

        let host = Host::start_in(folder, &manifest).await?;
        for (client, written) in acknowledged.iter().enumerate() {
            for part in written.chunks(500) {
                let keys = part.iter().map(|(key, _)| key).collect::<Vec<_>>();
                let values = part.iter().map(|(_, value)| value).collect::<Vec<_>>();
                let kept =
                    host.call(&format!("Exerciser/{client}"), "GetMany", &json!({"keys": keys})).await?;
                assert_eq!(kept, json!(values), "round {round}, client {client}");
            }
        }
        folder = host.kill()?;
    }
    let all = acknowledged.iter().map(Vec::len).sum::<usize>();
    assert!(all >= 300 * ROUNDS, "{all} writes");
    Ok(())
}

#[tokio::test]
async fn conversations_survive_kill_9() -> anyhow::Result<()> {
    let mut folder = Arc::new(TempDir::new()?);
    for round in 0..2 {
        let host = Host::start_in(folder, &default_manifest()).await?;
        for n in 0..4 {
            let message = json!({"role": "user", "content": format!("{round}-{n}")});
            assert_eq!(host.post("/chat/ada", &message).await?.status, 200);
        }
        let before = host.get("/chat/ada/history").await?.body;
        folder = host.kill()?;
        let host = Host::start_in(folder, &default_manifest()).await?;
        assert_eq!(host.get("/chat/ada/history").await?.body, before);
        assert_eq!(before["history"][4]["content"], format!("Got your message: {round}-3"));
        folder = host.kill()?;
    }
    Ok(())
}

/// A small file system of its own; it goes away with this.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this user may not mount one.
    fn mount(at: &Path, megabytes: u32) -> anyhow::Result<Option<SmallDisk>> {
        std::fs::create_dir_all(at)?;
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Some(SmallDisk(at.to_owned()))),
            // What is skipped in silence where nobody looks is not tested at all.
            other if std::env::var_os("CI").is_some() => {
                anyhow::bail!("a tmpfs cannot be mounted here: {other:?}")
            }
            other => {
                eprintln!("SKIPPED: a tmpfs cannot be mounted here, so nothing fills up: {other:?}");
                Ok(None)
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the host that is killed may still be about to close its files.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Writes a file until the disk is full.
fn fill_disk(filler: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::create(filler)?;
    let block = vec![1; 64 * 1024];
    while std::io::Write::write_all(&mut file, &block).is_ok() {}
    Ok(())
}

#[tokio::test]
async fn a_full_disk_refuses_what_it_cannot_keep_and_the_host_goes_on_when_there_is_room()
-> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let data = folder.path().join("data");
    let Some(_disk) = SmallDisk::mount(&data, 12)? else { return Ok(()) };
    let host = Host::start_in(folder, &exerciser("")).await?;
    let set = async |actor: &str, key: &str, bytes: usize| {
        let write = json!({"key": key, "value": "x".repeat(bytes)});
        host.invoke(&format!("Exerciser/{actor}"), "SetState", &write).await
    };
    let has = async |actor: &str, key: &str| {
        let value = host.call(&format!("Exerciser/{actor}"), "GetState", &json!({"key": key})).await?;
        anyhow::Ok(value.as_str().map(str::len))
    };
    assert_eq!(set("before", "k", 10).await?.status, 200);
    let filler = data.join("filler");

    // Twice: what was done about the first error must do for the second.
    for round in 0..2 {
        fill_disk(&filler)?;
        let mut kept = Vec::new();
        let refused = loop {
            let key = format!("{round}-{}", kept.len());
            let answer = set("fills", &key, 300_000).await?;
            if answer.status != 200 {
                break (key, answer);
            }
            kept.push(key);
            anyhow::ensure!(kept.len() < 100, "the disk does not get full");
        };
        let (key, answer) = refused;
        assert_eq!(answer.outcome(), (503, Some("backend-unavailable")), "{answer:?}");
        assert_eq!(host.get("/healthz").await?.status, 200, "the host stays up");
        std::fs::remove_file(&filler)?;

        // The same host, without a restart.
        eventually("the host goes on", async || Ok(set("after", "k", 1_000).await?.status == 200)).await?;
        assert_eq!(has("fills", &key).await?, None, "nothing of the refused turn is kept");
        for key in &kept {
            assert_eq!(has("fills", key).await?, Some(300_000), "what was acknowledged is there");
            host.call("Exerciser/fills", "DeleteState", &json!({"key": key})).await?;
        }
        assert_eq!(has("before", "k").await?, Some(10));
    }
    // And on disk, too.
    let folder = host.kill()?;
    let host = Host::start_in(folder, &exerciser("")).await?;
    let key = json!({"key": "k"});
    assert_eq!(host.call("Exerciser/after", "GetState", &key).await?, json!("x".repeat(1_000)));
    assert_eq!(host.call("Exerciser/before", "GetState", &key).await?, json!("x".repeat(10)));
    Ok(())
}

/// `ulimit -f` is a full disk, and not the end of the host (SIGXFSZ).
#[tokio::test]
async fn a_limit_on_the_size_of_files_is_like_a_full_disk() -> anyhow::Result<()> {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let host = Host::start(&exerciser("")).await?;
    let pid = i32::try_from(host.pid()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| anyhow::anyhow!("the host has no id"))?;
    // The host has the limit of this process.
    let before = getrlimit(Resource::Fsize);
    let set = async |value: u32| {
        let answer = host.invoke("Exerciser/a", "SetState", &json!({"key": "k", "value": value})).await?;
        anyhow::Ok((answer.status.as_u16(), answer.code))
    };
    assert_eq!(set(1).await?, (200, None));
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: Some(1), ..before })?;
    assert_eq!(set(2).await?, (503, Some("backend-unavailable".to_owned())));
    assert_eq!(host.get("/healthz").await?.status, 200, "the host stays up");
    prlimit(Some(pid), Resource::Fsize, before)?;
    eventually("the host goes on", async || Ok(set(3).await?.0 == 200)).await?;
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "k"})).await?, json!(3));
    Ok(())
}

/// A file that is not at its path takes every write, and all of it is gone in the end.
#[tokio::test]
async fn a_data_folder_that_is_gone_is_said_and_nothing_is_kept_as_if_it_were_there() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let folder = host.folder();
    let (data, away) = (folder.path().join("data"), folder.path().join("away"));
    let set = async |value: u32| {
        let answer = host.invoke("Exerciser/a", "SetState", &json!({"key": "k", "value": value})).await?;
        anyhow::Ok((answer.status.as_u16(), answer.code))
    };
    let refused = (503, Some("backend-unavailable".to_owned()));
    assert_eq!(set(1).await?, (200, None));
    host.call("Exerciser/b", "Echo", &json!(1)).await?;

    std::fs::rename(&data, &away)?;
    assert_eq!(set(2).await?, refused, "at once");
    eventually("it is not ready", async || Ok(host.get("/readyz").await?.status == 503)).await?;
    assert_eq!(host.get("/readyz").await?.body, json!("the state file is gone"));
    assert_eq!(host.get("/healthz").await?.status, 200);
    assert_eq!(set(3).await?, refused);
    // A turn that keeps nothing works. Where one failed, the next activation would write.
    assert_eq!(host.call("Exerciser/b", "GetState", &json!({"key": "k"})).await?, Value::Null);
    host.wait_for_log("the loss", |line| line["code"] == "data-missing").await?;
    let count = |code: &str| host.log().iter().filter(|line| line["code"] == code).count();
    assert_eq!(count("data-missing"), 1);
    let component = std::fs::read(daca_tests::guest("plain"))?;
    let deploy = reqwest::Client::builder().no_proxy().build()?;
    let deploy =
        deploy.put(format!("{}/agents/Exerciser/component", host.admin)).body(component).send().await?;
    assert_eq!(
        deploy.headers().get("daca-error").map(|code| code.as_bytes()),
        Some(&b"versions-unwritable"[..])
    );
    assert!(!data.exists(), "no empty folder takes its place");

    // Another file, such as a new host's, is not the one whose actors are in memory.
    std::fs::create_dir_all(&data)?;
    std::fs::copy(away.join("state.redb"), data.join("state.redb"))?;
    assert_eq!(set(4).await?, refused);
    std::fs::remove_dir_all(&data)?;

    std::fs::rename(&away, &data)?;
    eventually("it is ready", async || Ok(host.get("/readyz").await?.status == 200)).await?;
    assert_eq!(set(5).await?, (200, None));
    let host = Host::start_in(host.kill()?, &exerciser("")).await?;
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "k"})).await?, json!(5));

    // For good: the end does not claim what is not so.
    std::fs::remove_dir_all(&data)?;
    host.wait_for_log("the missing file", |line| line["code"] == "data-missing").await?;
    host.signal("TERM")?;
    let mut host = host;
    assert_eq!(host.wait().await?.code(), Some(0));
    assert!(!is_state_on_disk(&host).await?);
    assert!(!data.join("state.redb").exists());
    Ok(())
}

#[tokio::test]
async fn the_state_file_is_its_owner_s_alone_also_in_a_folder_that_is_not() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Arc::new(TempDir::new()?);
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let open = |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    open(&data, 0o755)?;
    let state = data.join("state.redb");
    let mode = || anyhow::Ok(std::fs::metadata(&state)?.permissions().mode() & 0o777);
    let host = Host::start_in(folder, &exerciser("")).await?;
    assert_eq!(mode()?, 0o600);
    host.wait_for_log("the folder", |line| line["code"] == "data-exposed").await?;
    // One of an earlier version.
    let folder = host.kill()?;
    open(&state, 0o644)?;
    open(&data, 0o700)?;
    let host = Host::start_in(folder, &exerciser("")).await?;
    assert_eq!(mode()?, 0o600);
    assert!(!host.log().iter().any(|line| line["code"] == "data-exposed"));
    Ok(())
}

/// The arguments of a host that is started and should end by itself.
const RUN: [&str; 10] = [
    "run",
    "--listen",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
    "--backend",
    "embedded",
    "--data",
    "data",
    "--manifest",
];

#[tokio::test]
async fn a_damaged_state_file_is_an_error_and_no_panic() -> anyhow::Result<()> {
    // A real one, to be damaged in several ways.
    let host = Host::start(&exerciser("")).await?;
    for n in 0..20 {
        let write = json!({"key": format!("k{n}"), "value": "x".repeat(2_000)});
        host.call(&format!("Exerciser/{n}"), "SetState", &write).await?;
    }
    let folder = host.folder();
    assert_eq!(host.stop().await?.code(), Some(0));
    let state = folder.path().join("data/state.redb");
    let sound = std::fs::read(&state)?;

    let mut zeroed_head = sound.clone();
    zeroed_head[..512].fill(0);
    let mut zeroed_tail = sound.clone();
    zeroed_tail[4_096..].fill(0);
    // Whatever reads such a file without its checksums finds nothing wrong with it.
    let mut other_values = sound.clone();
    for at in 0..sound.len() - 64 {
        if other_values[at..at + 64] == [b'x'; 64] {
            other_values[at] = b'y';
        }
    }
    assert_ne!(other_values, sound);
    let damaged = [
        ("a text", b"this is no database\n".repeat(1_000)),
        ("the first half", sound[..sound.len() / 2].to_vec()),
        ("a few bytes", sound[..100].to_vec()),
        ("a head of zeros", zeroed_head),
        ("a head alone", zeroed_tail),
        ("values that no actor has written", other_values),
    ];
    for (what, bytes) in damaged {
        std::fs::write(&state, bytes)?;
        let ended = run_in(folder.path(), RUN.into_iter().chain(["agents.toml"])).await?;
        assert_eq!(ended.code, Some(1), "{what}: {ended:?}");
        assert!(ended.stderr.contains("error[data-damaged]"), "{what}: {ended:?}");
        assert!(ended.stderr.contains("state.redb") && ended.stderr.contains("help:"), "{what}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{what}: {ended:?}");
        assert!(!ended.stderr.contains("internal"), "{what}: {ended:?}");
    }
    // The sound one in its place, as the help says.
    std::fs::write(&state, &sound)?;
    let host = Host::start_in(folder, &exerciser("")).await?;
    assert_eq!(host.call("Exerciser/7", "GetState", &json!({"key": "k7"})).await?, json!("x".repeat(2_000)));
    Ok(())
}

/// To open a pipe may wait for ever, and to open a device has effects.
#[tokio::test]
async fn what_has_the_name_of_the_state_file_and_is_none_is_said() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let folder = host.folder();
    assert_eq!(host.stop().await?.code(), Some(0));
    let state = folder.path().join("data/state.redb");
    for kind in ["a pipe", "a folder", "a device"] {
        std::fs::rename(&state, folder.path().join(format!("before {kind}")))?;
        match kind {
            "a pipe" => make_pipe(&state)?,
            "a folder" => std::fs::create_dir(&state)?,
            _ => std::os::unix::fs::symlink("/dev/null", &state)?,
        }
        let ended = run_in(folder.path(), RUN.into_iter().chain(["agents.toml"])).await?;
        assert!(ended.code == Some(1) && ended.stderr.contains("error[data-unwritable]: "), "{ended:?}");
        assert!(ended.stderr.contains(&format!("state.redb is {kind}")), "{ended:?}");
    }
    Ok(())
}

#[tokio::test]
async fn two_hosts_in_one_folder_are_refused() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let folder = host.folder();
    let ended = run_in(folder.path(), RUN.into_iter().chain(["agents.toml"])).await?;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("error[data-in-use]") && ended.stderr.contains("help:"), "{ended:?}");
    // The first one is none the worse, and its place is free when it is gone, however it went.
    assert_eq!(host.call("Exerciser/a", "Echo", &json!(1)).await?, json!(1));
    let host = Host::start_in(host.kill()?, &exerciser("")).await?;
    assert_eq!(host.call("Exerciser/a", "Echo", &json!(1)).await?, json!(1));
    Ok(())
}

//! A backup of a running host has what was committed at one instant, and nothing else passes for one.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use daca_tests::deploy::{component, refusal, swapped, version_of};
use daca_tests::{Ended, Host, TIMEOUT, daca, default_manifest, eventually, exerciser, run_in};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The counters that go on while a backup is taken.
const COUNTERS: usize = 8;

/// `daca backup` of a host, into a file of its folder.
async fn back_up(host: &Host, file: &str, more: &[&str]) -> anyhow::Result<Ended> {
    let admin = host.admin.trim_start_matches("http://");
    let arguments = [&["backup", "--admin", admin, "--output", file][..], more].concat();
    run_in(host.folder().path(), arguments).await
}

/// A whole backup of a host.
pub(super) async fn whole_backup(host: &Host) -> anyhow::Result<Vec<u8>> {
    let ended = back_up(host, "whole.daca", &["--force"]).await?;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    Ok(std::fs::read(host.folder().path().join("whole.daca"))?)
}

/// `daca restore` of these bytes into the folder `data` of a folder.
pub(super) async fn restore(folder: &Path, backup: &[u8]) -> anyhow::Result<Ended> {
    std::fs::write(folder.join("backup"), backup)?;
    run_in(folder, ["restore", "backup", "--data", "data"]).await
}

/// A host on what was restored from these bytes.
async fn restored(backup: &[u8], manifest: &str) -> anyhow::Result<Host> {
    let folder = Arc::new(TempDir::new()?);
    let ended = restore(folder.path(), backup).await?;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    Host::start_in(folder, manifest).await
}

/// A counter: how many increments were asked for, and how many were acknowledged.
#[derive(Default)]
struct Counter {
    asked: AtomicU64,
    acknowledged: AtomicU64,
}

/// Increments the counter of an actor until it is told to stop.
async fn count(
    host: Arc<Host>,
    actor: String,
    counter: Arc<Counter>,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    while !stop.load(Ordering::SeqCst) {
        counter.asked.fetch_add(1, Ordering::SeqCst);
        host.call(&actor, "AddSlowly", &json!({"key": "n"})).await?;
        counter.acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

#[tokio::test]
async fn a_backup_under_load_has_what_was_acknowledged_before_it_and_nothing_later() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&exerciser("")).await?);
    let wake = json!({"name": "later", "due_ms": 3_000, "data": 7});
    host.call("Exerciser/sleeper", "RegisterReminder", &wake).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let counters = [(); COUNTERS].map(|()| Arc::new(Counter::default()));
    let counting = counters.iter().enumerate().map(|(number, counter)| {
        tokio::spawn(count(host.clone(), format!("Exerciser/{number}"), counter.clone(), stop.clone()))
    });
    let counting = counting.collect::<Vec<_>>();
    let acknowledged = || counters.each_ref().map(|counter| counter.acknowledged.load(Ordering::SeqCst));
    eventually("all of them count", async || Ok(acknowledged().iter().all(|count| *count >= 3))).await?;

    let before = acknowledged();
    let backup = whole_backup(&host).await?;
    let after = counters.each_ref().map(|counter| counter.asked.load(Ordering::SeqCst));
    stop.store(true, Ordering::SeqCst);
    for one in counting {
        one.await??;
    }

    let host = restored(&backup, &exerciser("")).await?;
    for (number, (least, most)) in before.into_iter().zip(after).enumerate() {
        let found = host.call(&format!("Exerciser/{number}"), "GetState", &json!({"key": "n"})).await?;
        let is_right = found.as_u64().is_some_and(|found| (least..=most).contains(&found));
        assert!(is_right, "counter {number}: {found} is not in {least}..={most}");
    }
    // It was due meanwhile, or is soon.
    eventually("the reminder fires", async || {
        let fired = host.call("Exerciser/sleeper", "Fired", &Value::Null).await?;
        Ok(fired == json!([{"kind": "reminder", "name": "later", "data": 7}]))
    })
    .await
}

#[tokio::test]
async fn a_restored_host_serves_the_deployed_version_and_knows_handled_calls() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    host.deploy_guest("swapped_v2", "").await?;
    host.add("a", 7).await?;
    let versions = host.versions().await?;
    let host = restored(&whole_backup(&host).await?, &swapped("")).await?;
    assert_eq!(host.entries("a").await?, ("v2".to_owned(), vec![7]));
    let again = host.versions().await?;
    for part in ["revision", "serving", "history"] {
        assert_eq!(again[part], versions[part]);
    }
    assert_eq!(host.roll_back(false).await?.status, 200, "the version before is there, too");

    let chat = Host::start(&default_manifest()).await?;
    let say = async |host: &Host| {
        let message = json!({"role": "user", "content": "Hi"}).to_string();
        host.send_with(Method::POST, "/chat/ada", message, &[("Idempotency-Key", "one")]).await
    };
    let first = say(&chat).await?;
    assert_eq!(first.status, 200);
    let chat = restored(&whole_backup(&chat).await?, &default_manifest()).await?;
    assert_eq!(say(&chat).await?.body, first.body);
    let history = chat.get("/chat/ada/history").await?.body;
    assert_eq!(history["history"].as_array().map(Vec::len), Some(2), "it was handled once: {history}");
    Ok(())
}

#[tokio::test]
async fn what_is_no_whole_backup_is_refused_and_nothing_is_written() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    host.call("Exerciser/a", "SetState", &json!({"key": "k", "value": "x".repeat(3_000)})).await?;
    let whole = whole_backup(&host).await?;
    let mut flipped = whole.clone();
    let middle = whole.len() / 2;
    flipped[middle] ^= 1;
    // The format is behind the first line.
    let mut newer = whole.clone();
    newer[15] += 1;
    let longer = [&whole[..], b"x"].concat();
    let cases = [
        ("cut", whole[..whole.len() - 1].to_vec(), "backup-cut"),
        ("its first half", whole[..middle].to_vec(), "backup-cut"),
        ("empty", Vec::new(), "backup-cut"),
        ("a flipped bit", flipped, "backup-damaged"),
        ("something behind it", longer, "backup-damaged"),
        ("something else", b"this is no backup at all\n".to_vec(), "backup-damaged"),
        ("a future format", newer, "backup-too-new"),
    ];
    let mut faults = Vec::new();
    for (what, bytes, code) in cases {
        let folder = TempDir::new()?;
        let ended = restore(folder.path(), &bytes).await?;
        let is_refused = ended.code == Some(1) && ended.stderr.starts_with(&format!("error[{code}]: "));
        if !is_refused || folder.path().join("data").exists() {
            faults.push(format!("{what}: {ended:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[tokio::test]
async fn nothing_that_exists_is_overwritten_unasked() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let whole = whole_backup(&host).await?;
    let refused = back_up(&host, "whole.daca", &[]).await?;
    assert!(refused.code == Some(1) && refused.stderr.contains("error[backup-exists]"), "{refused:?}");
    let refused = back_up(&host, "nowhere/whole.daca", &[]).await?;
    assert!(refused.code == Some(1) && refused.stderr.contains("error[backup-unwritable]"), "{refused:?}");
    let folder = TempDir::new()?;
    std::fs::create_dir(folder.path().join("data"))?;
    std::fs::write(folder.path().join("data/mine"), "mine")?;
    let refused = restore(folder.path(), &whole).await?;
    assert!(
        refused.stderr.contains("error[data-not-empty]") && refused.stderr.contains("mine"),
        "{refused:?}"
    );
    let left = std::fs::read_dir(folder.path().join("data"))?.count();
    assert_eq!((left, std::fs::read(folder.path().join("data/mine"))?), (1, b"mine".to_vec()));
    // An empty one is filled.
    std::fs::remove_file(folder.path().join("data/mine"))?;
    assert_eq!(restore(folder.path(), &whole).await?.code, Some(0));
    let parts =
        ["state.redb", "serving", "versions"].map(|part| folder.path().join("data").join(part).exists());
    assert_eq!(parts, [true; 3]);
    // Not even by force anything but a file.
    std::os::unix::fs::symlink("/dev/null", host.folder().path().join("link.daca"))?;
    let refused = back_up(&host, "link.daca", &["--force"]).await?;
    assert!(refused.code == Some(1) && refused.stderr.contains("error[backup-exists]"), "{refused:?}");
    Ok(())
}

/// A host that starts in the middle of a restore would write state that the restore then replaces.
#[tokio::test]
async fn no_host_starts_while_a_restore_is_under_way() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let folder = host.folder();
    assert_eq!(host.stop().await?.code(), Some(0));
    std::fs::create_dir(folder.path().join("data/restore.unfinished"))?;
    let started =
        run_in(folder.path(), ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data"])
            .await?;
    assert!(started.code == Some(1) && started.stderr.contains("error[restore-unfinished]"), "{started:?}");
    Ok(())
}

/// The file of a version of `Swapped`.
fn version_file(host: &Host, guest: &str) -> anyhow::Result<(std::path::PathBuf, String)> {
    let version = version_of(&component(guest)?);
    let file = host.folder().path().join(format!("data/versions/Swapped/{version}.wasm"));
    Ok((file, version[..12].to_owned()))
}

#[tokio::test]
async fn a_backup_needs_the_versions_in_use_and_names_the_others_that_it_lacks() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    host.deploy_guest("swapped_v2", "").await?;
    let (first, first_name) = version_file(&host, "swapped_v1")?;
    std::fs::write(&first, "altered")?;
    let ended = back_up(&host, "whole.daca", &[]).await?;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let is_named = |line: &str| line.contains("not in it") && line.contains(&first_name);
    assert!(ended.stdout.lines().any(is_named), "{}", ended.stdout);
    host.wait_for_log("the version that is left out", |line| {
        line["level"] == "WARN" && line["code"] == "versions-unreadable"
    })
    .await?;
    let whole = std::fs::read(host.folder().path().join("whole.daca"))?;
    assert_eq!(restored(&whole, &swapped("")).await?.serving("a").await?, "v2");

    let (serving, serving_name) = version_file(&host, "swapped_v2")?;
    for code in ["versions-unreadable", "versions-missing"] {
        match code {
            "versions-missing" => std::fs::remove_file(&serving)?,
            _ => std::fs::write(&serving, "altered")?,
        }
        let refused = back_up(&host, "none.daca", &[]).await?;
        let is_right = refused.stderr.starts_with(&format!("error[{code}]: "))
            && refused.stderr.contains(&serving_name)
            && refused.stderr.contains("daca deploy Swapped FILE");
        assert!(is_right && refused.code == Some(1), "{refused:?}");
        assert!(!host.folder().path().join("none.daca").exists());
    }
    host.deploy_guest("swapped_v2", "").await?;
    assert_eq!(back_up(&host, "again.daca", &[]).await?.code, Some(0), "it does as the help says");
    Ok(())
}

/// A write beyond the limit sends a signal, whose default is to end the process.
#[tokio::test]
async fn a_limit_on_the_size_of_files_is_an_error_and_leaves_nothing() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    whole_backup(&host).await?;
    let admin = host.admin.trim_start_matches("http://");
    for (arguments, code, left) in [
        (&["backup", "--admin", admin, "--output", "small.daca"][..], "backup-unwritable", "small.daca"),
        (&["restore", "whole.daca", "--data", "small"], "data-unwritable", "small"),
    ] {
        let mut limited = tokio::process::Command::new("sh");
        limited.args(["-c", r#"ulimit -f 16; exec "$0" "$@""#]).arg(daca()).args(arguments);
        limited.current_dir(host.folder().path()).stdin(std::process::Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(TIMEOUT, limited.output()).await??;
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert!(
            ended.status.code() == Some(1) && stderr.starts_with(&format!("error[{code}]: ")),
            "{ended:?}"
        );
        assert!(!host.folder().path().join(left).exists(), "{left}");
    }
    Ok(())
}

/// Begins a backup, and reads no more than the head of the answer.
fn begin_and_stop_reading(host: &Host) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(host.admin.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"POST /backup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")?;
    let mut begin = [0; 15];
    stream.read_exact(&mut begin)?;
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    Ok(stream)
}

#[tokio::test]
async fn one_backup_is_taken_at_a_time_and_a_reader_that_is_gone_ends_its_own() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    // More than all buffers on the way.
    for n in 0..40 {
        let write = json!({"key": format!("k{n}"), "value": "x".repeat(500_000)});
        host.call(&format!("Exerciser/{}", n % 20), "SetState", &write).await?;
    }
    let reader = begin_and_stop_reading(&host)?;
    let busy = host.send_admin(Method::POST, "/backup", "").await?;
    assert_eq!(refusal(&busy), (429, "backup-busy"), "{:?}", busy.body);
    // It holds up nobody.
    host.call("Exerciser/0", "SetState", &json!({"key": "k", "value": 1})).await?;
    drop(reader);
    host.wait_for_log("the end of the first", |line| line["code"] == "backup-failed").await?;
    eventually("the next one is taken", async || Ok(back_up(&host, "next.daca", &[]).await?.code == Some(0)))
        .await?;
    // A host that ends cuts it off, and its end does not wait for it.
    let reader = begin_and_stop_reading(&host)?;
    assert_eq!(host.stop().await?.code(), Some(0));
    drop(reader);
    Ok(())
}

#[tokio::test]
async fn behind_a_sidecar_there_is_no_state_to_back_up() -> anyhow::Result<()> {
    let host = Host::start_without_sidecar(&exerciser("")).await?;
    let refused = host.send_admin(Method::POST, "/backup", "").await?;
    assert_eq!(refusal(&refused), (409, "backup-unsupported"));
    Ok(())
}

/// A copy of damaged values would have sound checksums, and later writes would make the file itself sound again.
#[tokio::test]
async fn a_file_that_was_damaged_while_its_host_runs_is_not_backed_up_and_not_served_any_more()
-> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let value = "x".repeat(2_000);
    for number in 0..20 {
        let write = json!({"key": "k", "value": value});
        host.call(&format!("Exerciser/{number}"), "SetState", &write).await?;
    }
    assert!(!whole_backup(&host).await?.is_empty());
    // It was compared, and goes on.
    assert_eq!(host.call("Exerciser/7", "GetState", &json!({"key": "k"})).await?, json!(value));

    let path = host.folder().path().join("data/state.redb");
    let mut damaged = std::fs::read(&path)?;
    for at in 0..damaged.len() - 64 {
        if damaged[at..at + 64] == [b'x'; 64] {
            damaged[at] = b'y';
        }
    }
    // In place: it is the file that the host has open.
    std::fs::OpenOptions::new().write(true).open(&path)?.write_all(&damaged)?;
    let ended = back_up(&host, "damaged.daca", &[]).await?;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("error[backend-unavailable]"), "{ended:?}");
    assert!(ended.stderr.contains("the state file is damaged"), "{ended:?}");
    assert!(!host.folder().path().join("damaged.daca").exists());
    let found = host.wait_for_log("the damage", |line| line["code"] == "data-damaged").await?;
    assert_eq!(found["level"], "ERROR");
    eventually("it is not ready", async || Ok(host.get("/readyz").await?.status == 503)).await?;
    let refused = host.invoke("Exerciser/new", "GetState", &json!({"key": "k"})).await?;
    assert!(refused.status.is_server_error(), "{refused:?}");
    Ok(())
}

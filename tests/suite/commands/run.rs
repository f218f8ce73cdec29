//! `daca run`: why it does not start.

use std::net::TcpListener;
use std::path::Path;

use daca_tests::{Host, default_manifest, run_in, run_with};
use serde_json::json;

use super::{Refusal, assert_refused, faults_of, folder_with};

/// Ports that are free, and a data folder that is not there yet.
const FREE: &[&str] = &["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data"];

/// Each case ends as it should, with one line of help.
async fn assert_each_refused(folder: &Path, cases: &[Refusal<'_>]) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for &(what, arguments, variables, code, words) in cases {
        let ended = run_with(folder, [&["run"][..], arguments].concat(), variables).await?;
        faults.extend(faults_of(what, &ended, code, words));
        if ended.stderr.matches("\n  help: ").count() != 1 {
            faults.push(format!("{what}: one help, in: {}", ended.stderr));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[tokio::test]
async fn run_says_which_variable_it_cannot_use() -> anyhow::Result<()> {
    let folder = folder_with(&default_manifest())?;
    let cases: [Refusal; 6] = [
        (
            "a callbacks' token that was not expanded",
            FREE,
            &[("DAPR_GRPC_PORT", "50001"), ("APP_API_TOKEN", "")],
            "app-token-invalid",
            &["APP_API_TOKEN"],
        ),
        (
            "a callbacks' token of nothing",
            FREE,
            &[("DAPR_GRPC_PORT", "50001"), ("APP_API_TOKEN", " \n")],
            "app-token-invalid",
            &["APP_API_TOKEN"],
        ),
        (
            "a sidecar's address without a port",
            FREE,
            &[("DAPR_GRPC_ENDPOINT", "http://dapr")],
            "sidecar-endpoint-invalid",
            &["http://dapr", "DAPR_GRPC_PORT"],
        ),
        (
            "a sidecar's address with TLS",
            FREE,
            &[("DAPR_GRPC_ENDPOINT", "https://dapr:50001")],
            "sidecar-endpoint-invalid",
            &["https://dapr:50001"],
        ),
        (
            "a sidecar's token that cannot be sent",
            FREE,
            &[("DAPR_GRPC_PORT", "50001"), ("DAPR_API_TOKEN", "a\nb")],
            "sidecar-token-invalid",
            &["DAPR_API_TOKEN"],
        ),
        ("a log filter that is none", FREE, &[("DACA_LOG", "=!")], "log-filter-invalid", &["DACA_LOG"]),
    ];
    assert_each_refused(folder.path(), &cases).await
}

#[tokio::test]
async fn run_says_which_port_it_cannot_use() -> anyhow::Result<()> {
    let folder = folder_with(&default_manifest())?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();
    let listen = ["--listen", &taken, "--admin", "127.0.0.1:0", "--data", "data"];
    let admin = ["--listen", "127.0.0.1:0", "--admin", &taken, "--data", "data"];
    let cases: [Refusal; 4] = [
        (
            "a port in use",
            &listen,
            &[],
            "listen-failed",
            &[&taken, "Address already in use", "with --listen"],
        ),
        (
            "an admin port in use",
            &admin,
            &[],
            "listen-failed",
            &[&taken, "Address already in use", "with --admin"],
        ),
        (
            "an admin port for everybody",
            &["--admin", "0.0.0.0:1"],
            &[],
            "admin-not-loopback",
            &["--admin 0.0.0.0:1", "--admin-token-file", "name a loopback address"],
        ),
        (
            "an admin port for everybody by IPv6",
            &["--admin", "[::]:1"],
            &[],
            "admin-not-loopback",
            &["[::]:1"],
        ),
    ];
    assert_each_refused(folder.path(), &cases).await
}

#[tokio::test]
async fn run_says_which_data_folder_it_cannot_use_and_leaves_it_alone() -> anyhow::Result<()> {
    let folder = folder_with(&default_manifest())?;
    std::fs::write(folder.path().join("file"), "a file where a folder should be")?;
    std::fs::create_dir(folder.path().join("damaged"))?;
    std::fs::write(folder.path().join("damaged/state.redb"), "no state file".repeat(1_000))?;
    std::fs::create_dir_all(folder.path().join("folder/state.redb"))?;
    let data = |folder: &'static str| ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", folder];
    let cases: [Refusal; 5] = [
        ("a file as data folder", &data("file"), &[], "data-unwritable", &["file: ", "--data DIR"]),
        (
            "a data folder below a file",
            &data("file/data"),
            &[],
            "data-unwritable",
            &["file/data: ", "--data DIR"],
        ),
        (
            "a place that nobody can write to",
            &data("/proc/daca"),
            &[],
            "data-unwritable",
            &["/proc/daca: ", "--data DIR"],
        ),
        (
            "a state file that is none",
            &data("damaged"),
            &[],
            "data-damaged",
            &["damaged/state.redb: ", "move the file away"],
        ),
        (
            "a folder as state file",
            &data("folder"),
            &[],
            "data-unwritable",
            &["folder/state.redb is a folder"],
        ),
    ];
    assert_each_refused(folder.path(), &cases).await?;
    let damaged = std::fs::read_to_string(folder.path().join("damaged/state.redb"))?;
    assert_eq!(damaged, "no state file".repeat(1_000));
    Ok(())
}

#[tokio::test]
async fn one_data_folder_serves_one_host() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let message = json!({"role": "user", "content": "Hi"});
    host.post("/chat/user1", &message).await?;
    let folder = host.folder();
    let run = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data"];
    let ended = run_in(folder.path(), run).await?;
    assert_refused("a folder in use", &ended, "data-in-use", &["in use by another host", "--data DIR"]);
    // The first one has not noticed, and once it is gone, even by a crash, the folder is free again.
    host.post("/chat/user1", &message).await?;
    let folder = host.kill()?;
    let host = Host::start_in(folder, &default_manifest()).await?;
    let history = host.get("/chat/user1/history").await?.body;
    assert_eq!(history["history"].as_array().map(Vec::len), Some(4), "{history}");
    Ok(())
}

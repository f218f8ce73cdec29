//! `daca run`: why it does not start.

use std::net::TcpListener;

use daca_tests::{Host, default_manifest, run_in, run_with};
use serde_json::json;

use super::{Refusal, assert_refused, folder_with};

#[tokio::test]
async fn run_says_why_it_does_not_start() -> anyhow::Result<()> {
    let folder = folder_with(&default_manifest())?;
    std::fs::write(folder.path().join("file"), "a file where a folder should be")?;
    std::fs::create_dir(folder.path().join("damaged"))?;
    std::fs::write(folder.path().join("damaged/state.redb"), "no state file".repeat(1_000))?;
    std::fs::create_dir_all(folder.path().join("folder/state.redb"))?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();

    let free = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data"];
    let listen = ["--listen", &taken, "--admin", "127.0.0.1:0", "--data", "data"];
    let admin = ["--listen", "127.0.0.1:0", "--admin", &taken, "--data", "data"];
    let data = |folder: &'static str| ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", folder];
    let nothing: &[(&str, &str)] = &[];
    let cases: [Refusal; 15] = [
        (
            "a callbacks' token that was not expanded",
            &free,
            &[("DAPR_GRPC_PORT", "50001"), ("APP_API_TOKEN", "")],
            "app-token-invalid",
            &["APP_API_TOKEN"],
        ),
        (
            "a callbacks' token of nothing",
            &free,
            &[("DAPR_GRPC_PORT", "50001"), ("APP_API_TOKEN", " \n")],
            "app-token-invalid",
            &["APP_API_TOKEN"],
        ),
        (
            "a port in use",
            &listen,
            nothing,
            "listen-failed",
            &[&taken, "Address already in use", "with --listen"],
        ),
        (
            "an admin port in use",
            &admin,
            nothing,
            "listen-failed",
            &[&taken, "Address already in use", "with --admin"],
        ),
        (
            "an admin port for everybody",
            &["--admin", "0.0.0.0:1"],
            nothing,
            "admin-not-loopback",
            &["--admin 0.0.0.0:1", "--admin-token-file", "name a loopback address"],
        ),
        (
            "an admin port for everybody by IPv6",
            &["--admin", "[::]:1"],
            nothing,
            "admin-not-loopback",
            &["[::]:1"],
        ),
        (
            "a sidecar's address without a port",
            &free,
            &[("DAPR_GRPC_ENDPOINT", "http://dapr")],
            "sidecar-endpoint-invalid",
            &["http://dapr", "DAPR_GRPC_PORT"],
        ),
        (
            "a sidecar's address with TLS",
            &free,
            &[("DAPR_GRPC_ENDPOINT", "https://dapr:50001")],
            "sidecar-endpoint-invalid",
            &["https://dapr:50001"],
        ),
        (
            "a sidecar's token that cannot be sent",
            &free,
            &[("DAPR_GRPC_PORT", "50001"), ("DAPR_API_TOKEN", "a\nb")],
            "sidecar-token-invalid",
            &["DAPR_API_TOKEN"],
        ),
        ("a file as data folder", &data("file"), nothing, "data-unwritable", &["file: ", "--data DIR"]),
        (
            "a data folder below a file",
            &data("file/data"),
            nothing,
            "data-unwritable",
            &["file/data: ", "--data DIR"],
        ),
        (
            "a place that nobody can write to",
            &data("/proc/daca"),
            nothing,
            "data-unwritable",
            &["/proc/daca: ", "--data DIR"],
        ),
        (
            "a state file that is none",
            &data("damaged"),
            nothing,
            "data-damaged",
            &["damaged/state.redb: ", "move the file away"],
        ),
        ("a folder as state file", &data("folder"), nothing, "data-unwritable", &["folder/state.redb: "]),
        ("a log filter that is none", &free, &[("DACA_LOG", "=!")], "log-filter-invalid", &["DACA_LOG"]),
    ];
    for (what, arguments, variables, code, words) in cases {
        let arguments = [&["run"][..], arguments].concat();
        let ended = run_with(folder.path(), arguments, variables).await?;
        assert_refused(what, &ended, code, words);
        assert_eq!(ended.stderr.matches("\n  help: ").count(), 1, "{what}: {}", ended.stderr);
    }
    // What it could not use it has not touched.
    assert_eq!(
        std::fs::read_to_string(folder.path().join("damaged/state.redb"))?,
        "no state file".repeat(1_000)
    );
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

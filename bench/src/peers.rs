//! What people would use instead: actor apps in Go and Python, each the whole of the tutorial, made ready to be started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use daca_stack::SidecarOptions;
use daca_tests::{Program, folders};

/// An app that is measured beside a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Go, net/http, the sidecar's HTTP API.
    Go,
    /// The same, and keeps what it has read in memory.
    GoKeepingState,
    /// The tutorial's app in Python.
    Python,
}

/// The programs of the peers.
pub(crate) struct Programs {
    go: PathBuf,
    uvicorn: PathBuf,
}

impl Programs {
    /// Builds and fetches what is missing.
    pub(crate) fn make() -> anyhow::Result<Programs> {
        let folder = folders::target().join("bench");
        std::fs::create_dir_all(&folder)?;
        Ok(Programs {
            go: build_go(&folder.join("go-actor"))?,
            uvicorn: fetch_python(&folder.join("python"))?,
        })
    }

    /// The command that starts a peer beside its sidecar, with or without SMS.
    pub(crate) fn program(&self, peer: Peer, sidecar: &SidecarOptions, sms: bool) -> Program {
        let folder = &sidecar.program.folder;
        let program = match peer {
            Peer::Python => Program::new("python", &self.uvicorn, folder)
                .argument("main:app")
                .option("--host", "127.0.0.1")
                .option("--port", sidecar.app_port)
                .option("--app-dir", peers().join("python-actor").display()),
            Peer::Go | Peer::GoKeepingState => {
                let keep = (peer == Peer::GoKeepingState).then_some("-keep-state");
                Program::new("go", &self.go, folder)
                    .option("-listen", format!("127.0.0.1:{}", sidecar.app_port))
                    .argument(format!("-sms={sms}"))
                    .arguments(keep)
            }
        };
        program
            .variable("SMS", if sms { "on" } else { "off" })
            .variable("DAPR_HTTP_PORT", sidecar.ports.http.to_string())
            .variable("DAPR_GRPC_PORT", sidecar.ports.grpc.to_string())
            .tokens(None, None)
    }
}

fn peers() -> PathBuf {
    folders::root().join("bench/peers")
}

fn build_go(program: &Path) -> anyhow::Result<PathBuf> {
    let go = [PathBuf::from("go"), PathBuf::from("/usr/local/go/bin/go")];
    let go = go.into_iter().find(|go| Command::new(go).arg("version").output().is_ok());
    let go = go.context("there is no go\n  help: install Go 1.24 or newer from https://go.dev/dl")?;
    let mut command = Command::new(go);
    command.args(["build", "-trimpath", "-o"]).arg(program).arg(".").current_dir(peers().join("go-actor"));
    run(command, "building the peer in Go")?;
    Ok(program.to_owned())
}

/// An environment of its own with the packages that the peer names.
fn fetch_python(folder: &Path) -> anyhow::Result<PathBuf> {
    let requirements = peers().join("python-actor/requirements.txt");
    let wanted = std::fs::read(&requirements)?;
    let (stamp, uvicorn) = (folder.join("requirements.txt"), folder.join("bin/uvicorn"));
    if std::fs::read(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(uvicorn);
    }
    eprintln!("fetching the packages of the peer in Python");
    let mut command = Command::new("python3");
    command.args(["-m", "venv"]).arg(folder);
    run(command, "making an environment for Python")?;
    let mut command = Command::new(folder.join("bin/pip"));
    command.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
    run(command, "fetching the packages of the peer in Python")?;
    std::fs::write(&stamp, wanted)?;
    Ok(uvicorn)
}

fn run(mut command: Command, what: &str) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{what}: could not be started"))?;
    if !status.success() {
        bail!("{what} failed ({status}); its message is above");
    }
    Ok(())
}

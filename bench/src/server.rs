//! What is measured without a sidecar: the host on its embedded backend, and native logic on the same store.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use daca_tests::{Process, Program, chat_agent, client, default_manifest, folders, ports, run_arguments};
use tempfile::TempDir;

use crate::process::Costs;

/// Where the store lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// On the disk of the project's folder: a commit waits for it.
    Disk,
    /// In a file system in memory, where an fsync does nothing.
    Memory,
}

impl Storage {
    fn new_folder(self) -> anyhow::Result<TempDir> {
        let parent = match self {
            Storage::Disk => folders::target().join("bench"),
            Storage::Memory => PathBuf::from("/dev/shm"),
        };
        std::fs::create_dir_all(&parent)?;
        Ok(TempDir::with_prefix_in("daca-bench-", parent)?)
    }
}

/// A server that listens. Dropping it kills it and removes its data.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) listen: SocketAddr,
    /// The host's admin port.
    pub(crate) admin: SocketAddr,
    // After the process, which writes to it.
    _folder: TempDir,
}

/// How a host is started.
pub(crate) struct ServerOptions {
    pub(crate) storage: Storage,
    /// Further lines of the manifest.
    pub(crate) manifest: String,
    /// What is logged: `info` is the default of the host, `warn` says nothing of a message.
    pub(crate) log: &'static str,
}

impl Server {
    /// Starts a host that is built as it is shipped.
    pub(crate) async fn host(options: &ServerOptions) -> anyhow::Result<Server> {
        Server::host_of("run", &options.whole_manifest(), options.storage, options.log).await
    }

    /// The same with a manifest of its own, by a command such as `run` or `dev`.
    pub(crate) async fn host_of(
        command: &str,
        manifest: &str,
        storage: Storage,
        log: &str,
    ) -> anyhow::Result<Server> {
        let folder = storage.new_folder()?;
        let (listen, admin) = (local(ports::free()?), local(ports::free()?));
        let program = program_of(command, folder.path(), manifest, log, [listen, admin])?;
        Server::start(program, listen, admin, folder).await
    }

    /// Starts the native logic.
    pub(crate) async fn native(storage: Storage) -> anyhow::Result<Server> {
        let folder = storage.new_folder()?;
        let listen = local(ports::free()?);
        let program = Program::new("native", &native(), folder.path())
            .argument("serve")
            .option("--listen", listen)
            .option("--data", folder.path().join("data").display())
            .option("--component", chat_agent().display());
        Server::start(program, listen, listen, folder).await
    }

    async fn start(
        program: Program,
        listen: SocketAddr,
        admin: SocketAddr,
        folder: TempDir,
    ) -> anyhow::Result<Server> {
        let process = Process::start(program)?;
        let server = Server { process, listen, admin, _folder: folder };
        server.process.wait_listening(listen.port()).await?;
        Ok(server)
    }

    pub(crate) fn costs(&self) -> anyhow::Result<Costs> {
        Costs::of(self.process.pid())
    }

    /// What the host's admin API says at a path.
    pub(crate) async fn ask(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        Ok(self.get(path).await?.json().await?)
    }

    /// The same where it is no JSON document.
    pub(crate) async fn ask_text(&self, path: &str) -> anyhow::Result<String> {
        Ok(self.get(path).await?.text().await?)
    }

    async fn get(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        let answer = client()?.get(format!("http://{}{path}", self.admin)).send().await?;
        Ok(answer.error_for_status()?)
    }

    /// What the host counts, as it tells Prometheus.
    pub(crate) async fn metrics(&self) -> anyhow::Result<String> {
        self.ask_text("/metrics").await
    }

    /// Deploys a version of the ChatAgent. It serves when this returns.
    pub(crate) async fn deploy(&self, version: Vec<u8>) -> anyhow::Result<()> {
        let url = format!("http://{}/agents/ChatAgent/component", self.admin);
        let answer = client()?.put(url).body(version).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "the deployment was answered {status}: {text}");
        Ok(())
    }
}

impl ServerOptions {
    fn whole_manifest(&self) -> String {
        default_manifest() + &self.manifest
    }
}

/// The command that starts a host on its embedded backend with its data in a folder.
pub(crate) fn host_program(
    folder: &Path,
    options: &ServerOptions,
    listen: SocketAddr,
    admin: SocketAddr,
) -> anyhow::Result<Program> {
    program_of("run", folder, &options.whole_manifest(), options.log, [listen, admin])
}

fn program_of(
    command: &str,
    folder: &Path,
    manifest: &str,
    log: &str,
    [listen, admin]: [SocketAddr; 2],
) -> anyhow::Result<Program> {
    let file = folder.join("agents.toml");
    std::fs::write(&file, manifest)?;
    let mut arguments = run_arguments("embedded", &file, &folder.join("data"), listen);
    arguments[0] = command.into();
    Ok(Program::new("host", &folders::released_daca(), folder)
        .arguments(arguments)
        .option("--admin", admin)
        .variable("DACA_LOG", log))
}

/// The program of the native side.
pub(crate) fn native() -> PathBuf {
    folders::target().join("release/daca-bench-native")
}

/// An address on loopback.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

//! What is measured without a sidecar: the host on its embedded backend, and native logic on the same store.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daca_stack::{Process, folders, ports, process::Program};
use tempfile::TempDir;

use crate::process::Costs;

/// The default manifest, whose component lies below the project's folder.
const MANIFEST: &str = include_str!("../../agents.toml");
const COMPONENT: &str = "target/wasm32-wasip2/guest/chat_agent.wasm";

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
pub(crate) struct HostOptions {
    pub(crate) storage: Storage,
    /// Further lines of the manifest.
    pub(crate) manifest: String,
    /// What is logged: `info` is the default of the host, `warn` says nothing of a message.
    pub(crate) log: &'static str,
}

impl Server {
    /// Starts a host that is built as it is shipped.
    pub(crate) async fn host(options: &HostOptions) -> anyhow::Result<Server> {
        let folder = options.storage.new_folder()?;
        let (listen, admin) = (local(ports::free()?), local(ports::free()?));
        let program = host_program(folder.path(), options, listen, admin)?;
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
            .option("--component", component().display());
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
        let connects = async || tokio::net::TcpStream::connect(listen).await.is_ok();
        server.process.wait_until("its port", connects).await?;
        Ok(server)
    }

    pub(crate) fn costs(&self) -> anyhow::Result<Costs> {
        Costs::of(self.process.pid())
    }

    /// What the host's admin API says at a path.
    pub(crate) async fn ask(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let answer = daca_stack::wait::client()?.get(format!("http://{}{path}", self.admin)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

/// The command that starts a host on its embedded backend with its data in a folder.
pub(crate) fn host_program(
    folder: &Path,
    options: &HostOptions,
    listen: SocketAddr,
    admin: SocketAddr,
) -> anyhow::Result<Program> {
    let manifest = folder.join("agents.toml");
    let component = component();
    let component = component.to_str().context("the project's folder has a name in UTF-8")?;
    std::fs::write(&manifest, MANIFEST.replace(COMPONENT, component) + &options.manifest)?;
    Ok(Program::new("host", &folders::released_daca(), folder)
        .argument("run")
        .option("--backend", "embedded")
        .option("--manifest", manifest.display())
        .option("--listen", listen)
        .option("--admin", admin)
        .option("--data", folder.join("data").display())
        .variable("DACA_LOG", options.log))
}

/// The ChatAgent's component.
pub(crate) fn component() -> PathBuf {
    folders::root().join(COMPONENT)
}

/// The program of the native side.
pub(crate) fn native() -> PathBuf {
    folders::target().join("release/daca-bench-native")
}

/// An address on loopback.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

//! The servers' programs: found where they are installed, else made from their sources. Nothing is made or fetched twice.
//!
//! Redis comes from the system's packages. Kafka's jars come from Maven, by the pinned `kafka/pom.xml`. Dapr's programs of the
//! right version are taken from PATH or from `~/.dapr/bin`; where there are none, Go builds them from the pinned `dapr/go.mod`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, bail};

use crate::folders;

/// The version of Dapr that is built, and the line that an installed one must be of.
const DAPR_VERSION: &str = "1.16.0";
const DAPR_LINE: &str = "1.16.";

/// Dapr's programs.
#[derive(Debug, Clone)]
pub struct Dapr {
    /// The sidecar.
    pub daprd: PathBuf,
    /// The placement service.
    pub placement: PathBuf,
    /// The scheduler service.
    pub scheduler: PathBuf,
}

impl Dapr {
    fn in_folder(folder: &Path) -> Dapr {
        let program = |name: &str| folder.join(name);
        Dapr { daprd: program("daprd"), placement: program("placement"), scheduler: program("scheduler") }
    }

    fn files(&self) -> [&Path; 3] {
        [&self.daprd, &self.placement, &self.scheduler]
    }
}

/// Makes sure of all programs.
pub fn all() -> anyhow::Result<()> {
    redis_server()?;
    redis_cli()?;
    kafka()?;
    dapr().map(drop)
}

/// The Redis server.
pub fn redis_server() -> anyhow::Result<PathBuf> {
    find("redis-server", "install Redis, on Debian with: apt-get install redis-server")
}

/// The Redis client.
pub fn redis_cli() -> anyhow::Result<PathBuf> {
    find("redis-cli", "install Redis, on Debian with: apt-get install redis-server")
}

/// The Java virtual machine.
pub fn java() -> anyhow::Result<PathBuf> {
    find("java", "install Java 17 or newer, on Debian with: apt-get install default-jre-headless")
}

/// The client of Kafka for a person's hands.
pub fn kcat() -> anyhow::Result<PathBuf> {
    find("kcat", "install kcat, on Debian with: apt-get install kcat")
}

/// The folder of Kafka's jars.
pub fn kafka() -> anyhow::Result<PathBuf> {
    let _lock = lock("kafka")?;
    java()?;
    let pins = folders::root().join("tests/stack/kafka/pom.xml");
    let folder = folders::programs().join("kafka");
    let libraries = folder.join("libs");
    // A copy of the pins says for which of them the jars are complete.
    let stamp = folder.join("pom.xml");
    let wanted = std::fs::read(&pins).with_context(|| format!("reading {}", pins.display()))?;
    if std::fs::read(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(libraries);
    }
    let maven = find("mvn", "install Maven, on Debian with: apt-get install maven")?;
    eprintln!("fetching Kafka's jars with Maven (54 MB)");
    let mut output = std::ffi::OsString::from("-DoutputDirectory=");
    output.push(&libraries);
    let mut command = Command::new(maven);
    command.args(["-q", "--batch-mode", "-f"]).arg(&pins).arg("dependency:copy-dependencies").arg(output);
    run(command, "fetching Kafka's jars", "Maven's message is above; it needs the network this once")?;
    std::fs::write(&stamp, wanted)?;
    Ok(libraries)
}

/// Dapr's programs, installed ones or those of the pinned sources.
pub fn dapr() -> anyhow::Result<Dapr> {
    if let Some(installed) = installed_dapr() {
        return Ok(installed);
    }
    let _lock = lock("dapr")?;
    let sources = folders::root().join("tests/stack/dapr");
    let folder = folders::programs().join("bin");
    let built = Dapr::in_folder(&folder);
    if is_newer(&built.files(), &dapr_sources(&sources)) {
        return Ok(built);
    }
    let go = find(
        "go",
        "install Go 1.24.6 or newer from https://go.dev/dl, or Dapr 1.16 with: dapr init --slim --runtime-version 1.16.0",
    )?;
    eprintln!("building Dapr {DAPR_VERSION} with Go: 7 minutes and 2 GB the first time, seconds after that");
    let link = format!("-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={DAPR_VERSION}");
    for program in ["placement", "scheduler", "daprd"] {
        let mut command = Command::new(&go);
        // Without this tag daprd refuses to start.
        command.args(["build", "-trimpath", "-tags", "stablecomponents", "-ldflags", &link, "-o"]);
        command.arg(folder.join(program)).arg(format!("./{program}")).current_dir(&sources);
        run(command, &format!("building {program}"), "Go's message is above; it needs Go 1.24.6 or newer")?;
    }
    // An unchanged program is not written again by Go, and would be older than its sources for ever.
    for file in built.files() {
        File::options().append(true).open(file)?.set_modified(SystemTime::now())?;
    }
    Ok(built)
}

fn dapr_sources(folder: &Path) -> Vec<PathBuf> {
    let files = ["go.mod", "go.sum", "daprd/main.go", "placement/main.go", "scheduler/main.go"];
    files.map(|file| folder.join(file)).to_vec()
}

/// Programs of the right version that somebody has installed, all three in one place.
fn installed_dapr() -> Option<Dapr> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".dapr/bin"));
    let folders = path_folders().into_iter().chain(home);
    folders.map(|folder| Dapr::in_folder(&folder)).find(|dapr| {
        dapr.files().iter().all(|file| file.is_file())
            && version(&dapr.daprd).is_some_and(|version| version.starts_with(DAPR_LINE))
    })
}

fn version(daprd: &Path) -> Option<String> {
    let output = Command::new(daprd).arg("--version").output().ok()?;
    String::from_utf8(output.stdout).ok()
}

/// Is each of these files newer than all of those?
fn is_newer(files: &[&Path], than: &[PathBuf]) -> bool {
    let time = |file: &Path| file.metadata().and_then(|metadata| metadata.modified()).ok();
    let oldest = files.iter().map(|file| time(file)).min().flatten();
    let newest = than.iter().filter_map(|file| time(file)).max();
    oldest > newest
}

/// One process at a time makes a program; the others wait for it and find it made.
fn lock(name: &str) -> anyhow::Result<File> {
    let folder = folders::programs();
    std::fs::create_dir_all(&folder)?;
    let file = File::create(folder.join(format!("{name}.lock")))?;
    file.lock()?;
    Ok(file)
}

fn run(mut command: Command, what: &str, help: &str) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{what}: could not be started"))?;
    if !status.success() {
        bail!("{what} failed ({status})\n  help: {help}");
    }
    Ok(())
}

fn find(program: &str, help: &str) -> anyhow::Result<PathBuf> {
    let mut candidates = path_folders().into_iter().map(|folder| folder.join(program));
    candidates.find(|file| file.is_file()).with_context(|| format!("there is no {program}\n  help: {help}"))
}

/// The folders of PATH, and where Go's own packages put it.
fn path_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([PathBuf::from("/usr/local/go/bin")]).collect()
}

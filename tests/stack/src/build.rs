//! The servers' programs: found where they are installed, else made from their sources. Nothing is made or fetched twice.
//!
//! What the system's packages have is installed from there by [`all`], where that may be done. Redis comes from the system's
//! packages. Kafka's jars come from Maven, by the pinned `kafka/pom.xml`.
//!
//! Dapr's programs are those that somebody has installed, so that the tests run on what a person runs: the first of PATH, then
//! `~/.dapr/bin`, whose [release](crate::release) is 1.16.2 or newer and of a known line. Where there are none, Go builds
//! 1.16.2 from the pinned `dapr/go.mod`.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::SystemTime;

use anyhow::Context as _;
use daca_tests::folders;

use crate::command::run;
use crate::packages::{GO_OR_DAPR, install};
use crate::release::Release;

/// The version of Dapr that is built: the one of `dapr/go.mod`.
const DAPR_VERSION: &str = "1.16.2";

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

/// Makes sure of all programs, and installs the packages that they need and that are missing.
pub fn all() -> anyhow::Result<()> {
    install_packages()?;
    redis_server()?;
    redis_cli()?;
    kcat()?;
    kafka()?;
    dapr().map(drop)
}

fn install_packages() -> anyhow::Result<()> {
    let _lock = lock("packages")?;
    let mut needed = vec![
        ("setpriv", "util-linux"),
        ("redis-server", "redis-server"),
        ("redis-cli", "redis-tools"),
        ("kcat", "kcat"),
        ("java", "default-jre-headless"),
    ];
    if !Jars::pinned()?.are_there() {
        needed.push(("mvn", "maven"));
    }
    if INSTALLED_DAPR.is_none() && built_dapr().is_none() {
        needed.push(("go", "golang-go"));
    }
    let missing = needed.into_iter().filter(|(program, _)| on_path(program).is_none());
    install(&missing.map(|(_, package)| package).collect::<Vec<_>>())
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
    let jars = Jars::pinned()?;
    if !jars.are_there() {
        jars.fetch()?;
    }
    Ok(jars.folder)
}

/// Kafka's jars, and what says which they are.
struct Jars {
    pins: PathBuf,
    wanted: Vec<u8>,
    /// A copy of the pins says for which of them the jars are complete.
    stamp: PathBuf,
    folder: PathBuf,
}

impl Jars {
    fn pinned() -> anyhow::Result<Jars> {
        let pins = folders::root().join("tests/stack/kafka/pom.xml");
        let wanted = std::fs::read(&pins).with_context(|| format!("reading {}", pins.display()))?;
        let kafka = folders::programs().join("kafka");
        Ok(Jars { pins, wanted, stamp: kafka.join("pom.xml"), folder: kafka.join("libs") })
    }

    fn are_there(&self) -> bool {
        std::fs::read(&self.stamp).is_ok_and(|made| made == self.wanted)
    }

    fn fetch(&self) -> anyhow::Result<()> {
        let maven = find("mvn", "install Maven, on Debian with: apt-get install maven")?;
        eprintln!("fetching Kafka's jars with Maven (54 MB)");
        let mut output = OsString::from("-DoutputDirectory=");
        output.push(&self.folder);
        let mut command = Command::new(maven);
        command.args(["-q", "--batch-mode", "-Dstyle.color=never", "-f"]).arg(&self.pins);
        command.arg("dependency:copy-dependencies").arg(output);
        run(command, "fetching Kafka's jars", "Maven needs the network this once")?;
        Ok(std::fs::write(&self.stamp, &self.wanted)?)
    }
}

/// Dapr's programs, installed ones or those of the pinned sources.
pub fn dapr() -> anyhow::Result<Dapr> {
    if let Some(installed) = &*INSTALLED_DAPR {
        return Ok(installed.clone());
    }
    let _lock = lock("dapr")?;
    built_dapr().map_or_else(build_dapr, Ok)
}

/// The programs that were built, unless their sources have changed since.
fn built_dapr() -> Option<Dapr> {
    let built = Dapr::in_folder(&folders::programs().join("bin"));
    is_newer(&built.files(), &dapr_sources(&dapr_source_folder())).then_some(built)
}

fn build_dapr() -> anyhow::Result<Dapr> {
    let go = find("go", GO_OR_DAPR)?;
    eprintln!("building Dapr {DAPR_VERSION} with Go: 8 minutes the first time, seconds after that");
    let built = Dapr::in_folder(&folders::programs().join("bin"));
    let link = format!("-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={DAPR_VERSION}");
    for file in built.files() {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        eprintln!("building {name}");
        let mut command = Command::new(&go);
        // Without this tag daprd refuses to start.
        command.args(["build", "-trimpath", "-tags", "stablecomponents", "-ldflags", &link, "-o"]);
        command.arg(file).arg(format!("./{name}")).current_dir(dapr_source_folder());
        run(command, &format!("building {name}"), "it needs Go 1.24.9 or newer, and the network this once")?;
        // Go leaves a program alone that would be the same, and it would be older than its sources for ever.
        File::options().append(true).open(file)?.set_modified(SystemTime::now())?;
    }
    Ok(built)
}

fn dapr_source_folder() -> PathBuf {
    folders::root().join("tests/stack/dapr")
}

fn dapr_sources(folder: &Path) -> Vec<PathBuf> {
    let files = ["go.mod", "go.sum", "daprd/main.go", "placement/main.go", "scheduler/main.go"];
    files.map(|file| folder.join(file)).to_vec()
}

/// The programs that somebody has installed, all three in one place. Looked for once: what is passed over is said once.
static INSTALLED_DAPR: LazyLock<Option<Dapr>> = LazyLock::new(|| {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".dapr/bin"));
    let folders = path_folders().into_iter().chain(home);
    let installed = folders.map(|folder| Dapr::in_folder(&folder)).find(is_taken)?;
    eprintln!("using the Dapr that is installed: {}", installed.daprd.display());
    Some(installed)
});

fn is_taken(dapr: &Dapr) -> bool {
    if !dapr.files().iter().all(|file| file.is_file()) {
        return false;
    }
    let daprd = dapr.daprd.display();
    let Some(release) = release(&dapr.daprd) else {
        eprintln!("passing over {daprd}: its version is no number of a release");
        return false;
    };
    let refusal = release.refusal();
    if let Some(reason) = refusal {
        eprintln!("passing over {daprd}, which is Dapr {release}: {reason}");
    }
    refusal.is_none()
}

fn release(daprd: &Path) -> Option<Release> {
    let output = Command::new(daprd).arg("--version").output().ok()?;
    Release::read(&String::from_utf8_lossy(&output.stdout))
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
    if file.try_lock().is_err() {
        eprintln!("waiting for another process that provides {name}");
        file.lock()?;
    }
    Ok(file)
}

fn find(program: &str, help: &str) -> anyhow::Result<PathBuf> {
    on_path(program).with_context(|| format!("there is no {program}\n  help: {help}"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    path_folders().into_iter().map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The folders of PATH, and where Go's own packages put it.
fn path_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([PathBuf::from("/usr/local/go/bin")]).collect()
}

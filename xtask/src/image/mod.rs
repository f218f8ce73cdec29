//! `cargo xtask image`: the container image of the host with the ChatAgent, FROM scratch.
//!
//! Everything that goes into it is made so that the same commit gives the same bytes wherever it is built: paths of the machine
//! are left out, times are that of the commit, and the component's code is compiled for all processors of this kind. The
//! context of the build, with `k8s/Containerfile`, is for a container engine; [`archive`] writes the same files as an OCI
//! archive, whether there is an engine or not.

mod archive;
mod engine;
#[cfg(test)]
mod manifest;
mod start;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};

use crate::cargo::Cargo;
use crate::paths::{root, target, variable};
use crate::steps::{self, Step};
use crate::toolchain::Part;
use archive::{Image, Layer};
pub(crate) use engine::Engine;

/// The image's user and group: Dapr's own, which nobody on a node has.
const USER: u32 = 65_532;

/// What `image` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The image's name, with its tag
    #[arg(long, default_value = concat!("daca:", env!("CARGO_PKG_VERSION")))]
    pub(crate) name: String,
    /// Who builds it from k8s/Containerfile, beside the archive that is always written
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) engine: Engine,
}

impl Arguments {
    /// The image by its usual name, without a container engine.
    pub(crate) fn archive_only() -> Arguments {
        Arguments { name: concat!("daca:", env!("CARGO_PKG_VERSION")).to_owned(), engine: Engine::None }
    }
}

/// Where the archive is written.
pub(crate) fn archive_path() -> PathBuf {
    folder().join("daca.tar")
}

/// Where the component is put that the ConfigMap of k8s/ holds.
fn config_map_component() -> PathBuf {
    root().join("k8s/base/chat_agent.wasm")
}

fn folder() -> PathBuf {
    target().join("image")
}

/// Builds the image, and says what came of it.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let triple = triple()?;
    let flags = Flags::new()?;
    steps::run(&[
        Step::toolchain(&[Part::WasmTarget, Part::StaticC]),
        Step::cargo("ChatAgent", flags.remapped(&component_build(), false)),
        Step::cargo(
            "static host",
            flags.remapped(&format!("build --release -p daca-host --target {triple}"), true),
        ),
    ])?;
    let context = folder().join("context");
    let program = target().join(&triple).join("release/daca");
    check_static(&program)?;
    put_together(&context, &program)?;
    let image = Image {
        name: arguments.name.clone(),
        labels: labels()?,
        created: commit_time(),
        user: USER,
        layers: vec![
            Layer::of(&context.join("rootfs"), &["daca", "etc"], &[("data", USER)])?,
            // What changes most often comes last.
            Layer::of(&context.join("rootfs"), &["agents", "code"], &[])?,
        ],
    };
    let archive = archive_path();
    let written = image.write(&archive)?;
    let start = start::measure(&context.join("rootfs"))?;
    let kilobytes = |bytes: u64| bytes.div_ceil(1000);
    println!("image      {}", arguments.name);
    println!("digest     {}", written.digest);
    println!(
        "size       {} kB compressed, of these {} kB agent and its code",
        kilobytes(written.size),
        kilobytes(written.last_layer)
    );
    println!("start      {} ms from the process to the first answer of the agent", start.as_millis());
    println!("archive    {} (OCI, and docker load)", archive.display());
    println!("component  {} (for k8s/base)", config_map_component().display());
    match engine::build(arguments.engine, &arguments.name, &context, &image)? {
        Some(engine) => println!("engine     {engine} has {} from k8s/Containerfile", arguments.name),
        None => println!(
            "engine     none is running; load the archive, or build {} with k8s/Containerfile",
            context.display()
        ),
    }
    Ok(())
}

/// A program that names a loader cannot start in an image without one.
fn check_static(program: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(program).with_context(|| program.display().to_string())?;
    let loaders: [&[u8]; 2] = [b"/ld-linux", b"/ld-musl"];
    let start = &bytes[..bytes.len().min(4096)];
    if loaders.iter().any(|loader| start.windows(loader.len()).any(|window| window == *loader)) {
        bail!(
            "{} needs shared libraries\n  help: look for linker settings in cargo's configuration",
            program.display()
        );
    }
    Ok(())
}

/// The component has a folder of its own: it is built with other flags than that of `cargo xtask dev`.
fn component_build() -> String {
    format!(
        "build -p chat-agent --target wasm32-wasip2 --profile guest --target-dir {}",
        component_target().display()
    )
}

fn component_target() -> PathBuf {
    folder().join("component")
}

/// The folder that a container engine builds from. What was there before goes.
fn put_together(context: &Path, program: &Path) -> anyhow::Result<()> {
    if context.exists() {
        fs::remove_dir_all(context).with_context(|| context.display().to_string())?;
    }
    let rootfs = context.join("rootfs");
    let component = component_target().join("wasm32-wasip2/guest/chat_agent.wasm");
    place(program, &rootfs.join("daca"), 0o755)?;
    place(&component, &rootfs.join("agents/component/chat_agent.wasm"), 0o644)?;
    place(&root().join("k8s/base/agents.toml"), &rootfs.join("agents/manifest/agents.toml"), 0o644)?;
    place(&root().join("k8s/Containerfile"), &context.join("Containerfile"), 0o644)?;
    place(&component, &config_map_component(), 0o644)?;
    // The runtime takes the names of users from here.
    fs::create_dir_all(rootfs.join("etc"))?;
    write(&rootfs.join("etc/passwd"), &format!("daca:x:{USER}:{USER}:daca:/:/\n"))?;
    write(&rootfs.join("etc/group"), &format!("daca:x:{USER}:\n"))?;
    fs::create_dir_all(context.join("data"))?;
    let mut compile = Command::new(rootfs.join("daca"));
    compile.arg("compile").arg("--manifest").arg(rootfs.join("agents/manifest/agents.toml"));
    let output =
        compile.arg("--out").arg(rootfs.join("code")).output().context("starting the static host")?;
    if !output.status.success() {
        bail!("daca compile: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    even_out(context, UNIX_EPOCH + Duration::from_secs(commit_time()))
}

/// Gives all folders the same mode, whatever this person's is, and all files and folders the same time: a container engine
/// copies both.
fn even_out(folder: &Path, time: SystemTime) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            even_out(&path, time)?;
        } else {
            File::options().write(true).open(&path)?.set_modified(time)?;
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    Ok(File::open(folder)?.set_modified(time)?)
}

fn place(from: &Path, to: &Path, mode: u32) -> anyhow::Result<()> {
    let copy = || {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        fs::copy(from, to)?;
        fs::set_permissions(to, Permissions::from_mode(mode))
    };
    copy().with_context(|| format!("copying {} to {}", from.display(), to.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o644))?)
}

/// Flags for the compiler that keep the machine's paths out of what is built.
struct Flags {
    remap: Vec<String>,
}

impl Flags {
    fn new() -> anyhow::Result<Flags> {
        let home = std::env::home_dir().context("there is no home folder")?;
        let cargo = std::env::var_os("CARGO_HOME").map_or(home.join(".cargo"), PathBuf::from);
        let remap = |path: &Path, name: &str| format!("--remap-path-prefix={}={name}", path.display());
        Ok(Flags { remap: vec![remap(&cargo, "/cargo"), remap(&root(), "/daca")] })
    }

    /// A run of cargo with these flags, and, for a program, without shared libraries. The variable goes before all that a
    /// person may have configured.
    fn remapped(&self, line: &str, is_static: bool) -> Cargo {
        let link = is_static.then(|| "-Ctarget-feature=+crt-static".to_owned());
        let flags = link.iter().chain(&self.remap).map(String::as_str).collect::<Vec<_>>();
        Cargo::new(line).variable("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
    }
}

/// The target of this machine, without the C library of the toolchain's own: a static program has no use for another one.
fn triple() -> anyhow::Result<String> {
    let output =
        Command::new(variable("RUSTC", "rustc")).arg("-vV").output().context("rustc could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

/// The annotations of the OCI image specification (`annotations.md`).
fn labels() -> anyhow::Result<Vec<(String, String)>> {
    let created = archive::rfc3339(commit_time())?;
    let labels = [
        ("created", created),
        ("description", "A host for Dapr virtual actors whose logic is a WebAssembly component".to_owned()),
        ("licenses", env!("CARGO_PKG_LICENSE").to_owned()),
        ("revision", revision()),
        ("title", "daca".to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    Ok(labels.map(|(name, value)| (format!("org.opencontainers.image.{name}"), value)).into())
}

/// The commit, with a word behind it when the files differ from it.
fn revision() -> String {
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return "unknown".to_owned() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}-changed"),
    }
}

/// Seconds since 1970.
fn commit_time() -> u64 {
    git(&["log", "-1", "--format=%ct"]).and_then(|time| time.parse().ok()).unwrap_or_default()
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(root()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

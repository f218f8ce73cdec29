//! Container engines: which one runs here, and how it builds from `k8s/Containerfile`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::archive::Image;

/// Who builds the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    /// The first that works here: docker, podman, buildah
    Auto,
    /// docker build
    Docker,
    /// podman build
    Podman,
    /// buildah build
    Buildah,
    /// Nobody
    None,
}

/// Builds with an engine, and answers its name; none when there is none and none was named.
pub(super) fn build(
    engine: Engine,
    name: &str,
    context: &Path,
    image: &Image,
) -> anyhow::Result<Option<&'static str>> {
    let program = match engine {
        Engine::None => return Ok(None),
        Engine::Auto => match ["docker", "podman", "buildah"].into_iter().find(|program| works(program)) {
            Some(program) => program,
            None => return Ok(None),
        },
        Engine::Docker => "docker",
        Engine::Podman => "podman",
        Engine::Buildah => "buildah",
    };
    let mut command = Command::new(program);
    command.arg("build").args(["-t", name]).arg("-f").arg(context.join("Containerfile"));
    for (label, value) in &image.labels {
        command.arg("--label").arg(format!("{label}={value}"));
    }
    // The same times in each build: docker takes them from the variable, the others from the option.
    match program {
        "docker" => command.env("SOURCE_DATE_EPOCH", image.created.to_string()),
        _ => command.arg("--timestamp").arg(image.created.to_string()),
    };
    let status = command.arg(context).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("{program} could not be started"))?;
    if !status.success() {
        bail!(
            "{program} build: {status}\n  help: {program}'s message is above; --engine none writes the archive alone"
        );
    }
    Ok(Some(program))
}

/// Is it there, and does it have what it needs, such as a daemon?
fn works(program: &str) -> bool {
    let asked = Command::new(program).arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

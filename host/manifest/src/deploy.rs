//! The rules of deployments: the table `[deploy]`, and `[agents.TYPE.dev]` for agent authors.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;

use super::limits::sizes_for_people;
use super::{Problems, file, names};
use crate::signature::{Signer, SignerError};
use daca_base::ErrorCode;

/// The rules of deployments.
#[derive(Debug, Clone)]
pub struct DeployRules {
    /// The accepted signers. If there is one, every component must be signed by one of them.
    pub signers: Vec<Signer>,
    /// The window of the canary analysis.
    pub window: Duration,
    /// The percentage points by which a new version's share of failures may exceed that of the previous version.
    pub max_error_delta: u32,
    /// The minimum number of turns of a new version for a verdict.
    pub least_turns: u32,
    /// A version that fails too often is rolled back. Always, as far as the manifest goes: `daca dev` does not, because
    /// its author looks for the failure.
    pub rolls_back: bool,
    /// The versions of each agent type that are kept for rollbacks.
    pub keep: usize,
    /// A folder of components that can be deployed by digest.
    pub versions: Option<PathBuf>,
    /// The line of the manifest that names it.
    pub versions_line: usize,
    /// The limits of compiling a component.
    pub compiling: CompileLimits,
}

/// The limits of compiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// The processor time for each started mebibyte of the component.
    pub time: Duration,
    /// Memory.
    pub memory: ByteSize,
}

/// The build of an agent during development.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevBuild {
    /// The command that builds the component. `sh -c` runs it in the manifest's folder.
    pub build: String,
    /// The files and folders whose changes start it.
    pub watch: Vec<PathBuf>,
}

/// The numbers of the table, with their minimum and maximum.
const RANGES: [(&str, u32, u32); 3] = [("margin", 0, 100), ("least-turns", 1, 1_000_000), ("keep", 2, 1_000)];
/// The minimum and maximum of `window` and `compile-time`.
const DURATION: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
/// The minimum and maximum of `compile-memory`.
const COMPILE_MEMORY: (ByteSize, ByteSize) = (ByteSize::mib(64), ByteSize::gib(64));

pub(super) fn build(file: file::Deploy, folder: &Path, problems: &mut Problems<'_>) -> DeployRules {
    for (key, value) in [("window", file.window), ("compile-time", file.compile_time)] {
        if !(DURATION.0..=DURATION.1).contains(&value) {
            let value = humantime::format_duration(value);
            refuse(problems, key, &value.to_string(), "write 1s to 1h".into());
        }
    }
    if !(COMPILE_MEMORY.0..=COMPILE_MEMORY.1).contains(&file.compile_memory) {
        let bound = if file.compile_memory < COMPILE_MEMORY.0 { COMPILE_MEMORY.0 } else { COMPILE_MEMORY.1 };
        let [value, _] = sizes_for_people([file.compile_memory, bound]);
        refuse(problems, "compile-memory", &value, "write 64MiB to 64GiB".into());
    }
    for ((key, least, most), value) in RANGES.into_iter().zip([file.margin, file.least_turns, file.keep]) {
        if !(least..=most).contains(&value) {
            refuse(problems, key, &value.to_string(), format!("write {least} to {most}"));
        }
    }
    if let Some(path) = &file.versions {
        problems.push_name(&["deploy", "versions"], names::check_path("deploy.versions", path));
    }
    DeployRules {
        signers: file.signers.into_iter().filter_map(|text| signer(&text, problems)).collect(),
        window: file.window,
        max_error_delta: file.margin,
        least_turns: file.least_turns,
        rolls_back: true,
        keep: file.keep as usize,
        versions: file.versions.map(|path| folder.join(path)),
        versions_line: problems.position(problems.locate(&["deploy", "versions"]).start).0,
        compiling: CompileLimits { time: file.compile_time, memory: file.compile_memory },
    }
}

fn refuse(problems: &mut Problems<'_>, key: &str, value: &str, help: String) {
    let span = problems.locate(&["deploy", key]);
    problems.push(
        ErrorCode::ManifestInvalidLimit,
        span,
        format!("deploy.{key}: {value} is out of range"),
        || help,
    );
}

fn signer(text: &toml::Spanned<String>, problems: &mut Problems<'_>) -> Option<Signer> {
    let error = match Signer::parse(text.get_ref()) {
        Ok(signer) => return Some(signer),
        Err(error) => error,
    };
    let message = format!("deploy.signers: {:?} is not a public key: {error}", text.get_ref());
    problems.push(ErrorCode::ManifestInvalidSigner, text.span(), message, || match error {
        SignerError::Weak => "make another key with: daca sign --new-key FILE".into(),
        _ => "write the line that daca sign --key FILE --public prints".into(),
    });
    None
}

pub(super) fn build_dev(
    agent: &str,
    file: file::Dev,
    folder: &Path,
    problems: &mut Problems<'_>,
) -> DevBuild {
    let mut refuse = |span, key: &str, help: &str| {
        let message = format!("agents.{agent}.dev.{key} is empty");
        problems.push(ErrorCode::ManifestInvalidDev, span, message, || help.into());
    };
    if file.build.get_ref().trim().is_empty() {
        refuse(file.build.span(), "build", "write the command that builds the component");
    }
    let has_empty = file.watch.get_ref().iter().any(|path| path.as_os_str().is_empty());
    if has_empty || file.watch.get_ref().is_empty() {
        refuse(file.watch.span(), "watch", "name the files and folders that the component is built from");
    }
    DevBuild {
        build: file.build.into_inner(),
        watch: file.watch.into_inner().into_iter().map(|path| folder.join(path)).collect(),
    }
}

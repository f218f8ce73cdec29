//! Deployments in a backup: the record of each agent type and the versions that it names, so that a restored host
//! serves what this one serves, and can go back to what served before.
//!
//! All files are checked before the first byte of a backup, because nobody can be told of a problem later. Without a
//! whole file of each version in use there is no backup: the restored host would not start, or would serve actors with
//! another version. Other kept versions are left out, and named.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::library::{Library, Stored};
use super::record::{self, LocalRecord};
use super::{Deployer, Error};
use daca_base::ErrorCode;
use daca_base::archive::FrameSink;
use daca_base::digest::{digest, short};
use daca_manifest::signature::{self, Signer};
use daca_model::backup::{FrameKind, put_text, take_text};
use daca_model::check_agent_type;

impl Deployer {
    /// Checks what a backup needs of the data folder. Blocks.
    pub fn plan_backup(&self) -> Result<BackupPlan, Error> {
        let library = self.inner.library.clone();
        let signers = &self.inner.preparation.rules.signers;
        let types = self.inner.agents.keys().map(|agent_type| plan_type(&library, signers, agent_type));
        let types = types.collect::<Result<Vec<_>, _>>()?;
        Ok(BackupPlan { library, types })
    }
}

/// The deployments that a backup has.
pub struct BackupPlan {
    library: Library,
    types: Vec<PlannedType>,
}

/// The same of one agent type.
struct PlannedType {
    agent_type: Arc<str>,
    local: LocalRecord,
    /// The versions with a whole file.
    versions: Vec<String>,
    /// The kept versions without one.
    left_out: Vec<String>,
}

impl BackupPlan {
    /// The agent types and versions that are left out, because their files are missing or damaged.
    pub fn left_out(&self) -> impl Iterator<Item = (&str, &str)> {
        self.types.iter().flat_map(|planned| {
            planned.left_out.iter().map(move |version| (&*planned.agent_type, short(version)))
        })
    }

    /// Adds all of it to a backup. Blocks.
    pub fn write(&self, to: &mut dyn FrameSink) -> std::io::Result<()> {
        self.types.iter().try_for_each(|planned| planned.write(&self.library, to))
    }
}

fn plan_type(library: &Library, signers: &[Signer], agent_type: &Arc<str>) -> Result<PlannedType, Error> {
    let local = library.read_record(agent_type)?;
    let local =
        local.ok_or_else(|| Error::record_not_backed_up(agent_type, &library.folder_of(agent_type)))?;
    let in_use = local.record.in_use();
    let kept = local.record.versions.keys().cloned();
    let (mut versions, mut left_out) = (Vec::new(), Vec::new());
    for version in in_use.iter().cloned().chain(kept).collect::<BTreeSet<_>>() {
        match check_version(library, signers, agent_type, &version, in_use.contains(&version)) {
            Ok(()) => versions.push(version),
            Err((code, reason)) if in_use.contains(&version) => {
                return Err(Error::not_backed_up(agent_type, &version, code, &reason));
            }
            Err((code, reason)) => {
                let code = code.as_str();
                tracing::warn!(
                    agent_type = &**agent_type,
                    code,
                    "version {} is not in the backup: {reason}",
                    short(&version)
                );
                left_out.push(version);
            }
        }
    }
    Ok(PlannedType { agent_type: agent_type.clone(), local, versions, left_out })
}

/// Fails if the file of a version is missing or damaged, or if a version in use has no valid signature.
fn check_version(
    library: &Library,
    signers: &[Signer],
    agent_type: &str,
    version: &str,
    is_in_use: bool,
) -> Result<(), (ErrorCode, String)> {
    let Stored { wasm, signature } = match library.load(agent_type, version) {
        Ok(Some(stored)) => stored,
        Ok(None) => {
            let folder = library.folder_of(agent_type);
            let reason = format!("{version}.wasm is missing from {}", folder.display());
            return Err((ErrorCode::VersionsMissing, reason));
        }
        Err(error) => return Err((error.code, error.message)),
    };
    if is_in_use {
        signature::verify(signers, &wasm, signature.as_deref())
            .map_err(|error| (ErrorCode::VersionsUnreadable, error.to_string()))?;
    }
    Ok(())
}

impl PlannedType {
    /// The versions come before the record that needs them.
    fn write(&self, library: &Library, to: &mut dyn FrameSink) -> std::io::Result<()> {
        let PlannedType { agent_type, local, versions, .. } = self;
        for version in versions {
            let Ok(Some(Stored { wasm, signature })) = library.load(agent_type, version) else {
                let reason = format!("version {version} of {agent_type} was removed or altered meanwhile");
                // It may be replaced while the backup is written; only one in use must be there.
                if local.record.in_use().contains(version) {
                    return Err(std::io::Error::other(reason));
                }
                tracing::warn!(code = ErrorCode::VersionsMissing.as_str(), "not in the backup: {reason}");
                continue;
            };
            let mut head = Vec::new();
            put_text(&mut head, agent_type);
            put_text(&mut head, signature.as_deref().unwrap_or_default());
            to.frame(FrameKind::Version as u8, &[&head[..], &wasm[..]])?;
        }
        let mut head = Vec::new();
        put_text(&mut head, agent_type);
        to.frame(FrameKind::Record as u8, &[&head[..], &serde_json::to_vec(local)?[..]])
    }
}

/// The versions and records of a new data folder.
pub struct VersionsRestore {
    library: Library,
    versions: u64,
    agent_types: u64,
}

impl VersionsRestore {
    /// `data` exists, and has no versions.
    pub fn new(data: &Path) -> VersionsRestore {
        VersionsRestore { library: Library::new(data, None), versions: 0, agent_types: 0 }
    }

    /// Stores the version of a frame. Blocks.
    pub fn add_version(&mut self, mut frame: &[u8]) -> Result<(), Error> {
        let agent_type = take_agent_type(&mut frame)?;
        let signature = take_text(&mut frame).ok_or_else(damaged)?;
        let signature = (!signature.is_empty()).then(|| signature.to_owned());
        let stored = Stored { wasm: frame.to_vec().into(), signature };
        self.library.store(agent_type, &digest(&stored.wasm), &stored).map_err(Error::of_new_folder)?;
        self.versions += 1;
        Ok(())
    }

    /// Stores the record of a frame, whose versions are here. Blocks.
    pub fn add_record(&mut self, mut frame: &[u8]) -> Result<(), Error> {
        let agent_type = take_agent_type(&mut frame)?;
        let local = record::read_local(frame).map_err(|error| match error {
            record::ReadError::TooNew(_) => Error::record_too_new(&format!("{agent_type}: {error}")),
            record::ReadError::Damaged(_) => damaged(),
        })?;
        if !local.record.in_use().iter().all(|version| self.library.has(agent_type, version)) {
            return Err(damaged());
        }
        self.library.write_record(agent_type, &local).map_err(Error::of_new_folder)?;
        self.agent_types += 1;
        Ok(())
    }

    /// The number of versions, and of the agent types that they are of.
    pub fn restored(&self) -> (u64, u64) {
        (self.versions, self.agent_types)
    }
}

/// The name becomes that of a folder.
fn take_agent_type<'a>(frame: &mut &'a [u8]) -> Result<&'a str, Error> {
    take_text(frame).filter(|name| check_agent_type(name).is_ok()).ok_or_else(damaged)
}

fn damaged() -> Error {
    let message = "it contains a version or a record that no host has written";
    Error::new(ErrorCode::BackupDamaged, message, "use another copy of it, or another backup")
}

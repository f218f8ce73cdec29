//! What was deployed, in a backup: the record of each agent type and the versions that it names, so that a restored host
//! serves what this one serves, and can go back to what served before.

use std::path::Path;

use super::library::{Library, Stored};
use super::record;
use super::{Deployer, Error};
use daca_base::ErrorCode;
use daca_base::archive::FrameSink;
use daca_base::digest::digest;
use daca_model::backup::{FrameKind, put_text, take_text};
use daca_model::check_agent_type;

impl Deployer {
    /// Adds all of it to a backup. Blocks.
    pub fn back_up(&self, to: &mut dyn FrameSink) -> std::io::Result<()> {
        let library = &self.inner.library;
        self.inner.agents.keys().try_for_each(|agent_type| back_up_type(library, agent_type, to))
    }
}

/// The versions come before the record that needs them.
fn back_up_type(library: &Library, agent_type: &str, to: &mut dyn FrameSink) -> std::io::Result<()> {
    let Some(local) = library.read_record(agent_type).map_err(std::io::Error::other)? else { return Ok(()) };
    let needed = local.record.in_use();
    let mut versions = needed.clone();
    versions.extend(local.record.versions.keys().cloned());
    for version in versions {
        let stored = library.load(agent_type, &version).map_err(std::io::Error::other)?;
        let Some(Stored { wasm, signature }) = stored else {
            if needed.contains(&version) {
                return Err(std::io::Error::other(format!("version {version} of {agent_type} is missing")));
            }
            continue;
        };
        let mut head = Vec::new();
        put_text(&mut head, agent_type);
        put_text(&mut head, signature.as_deref().unwrap_or_default());
        to.frame(FrameKind::Version as u8, &[&head[..], &wasm[..]])?;
    }
    let mut head = Vec::new();
    put_text(&mut head, agent_type);
    to.frame(FrameKind::Record as u8, &[&head[..], &serde_json::to_vec(&local)?[..]])
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
        self.library.store(agent_type, &digest(&stored.wasm), &stored)?;
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
        self.library.write_record(agent_type, &local)?;
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

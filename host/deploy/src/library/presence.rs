//! Whether the folders and files of the versions are still there.
//!
//! A host needs them at its start alone, so it would keep serving without a sign when they are removed, moved or
//! replaced. The next start would then miss them. So the files that it needs are looked at, and read when
//! they have changed. Nothing is written into another folder of the same name.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use super::identity::FolderId;
use super::missing::{Lost, Missing};
use super::{Error, Library, MAX_NOTE, Stored, read_version};
use crate::record::Record;
use crate::watch::Stamp;
use daca_base::files::{kind_of, read_bounded};
use daca_manifest::signature::{self, Signer};

impl Library {
    /// Looks for the stored record, and for the files of the versions in `needed`, with their signatures if there are
    /// `signers`. `seen` is the state of the record's file as it was written or found last, if that is known; the result
    /// has the present one.
    pub(crate) fn find_missing(
        &self,
        agent_type: &str,
        record: &Record,
        seen: Option<Stamp>,
        needed: &BTreeSet<String>,
        signers: &[Signer],
    ) -> Result<Stamp, Missing> {
        let path = self.record_path(agent_type);
        let at = |path: &Path, reason: &str| format!("{}: {reason}", path.display());
        let found = Stamp::read(&path).map_err(|error| {
            let reason = at(&path, &error.to_string());
            let is_removed = error.kind() == ErrorKind::NotFound && self.check_folders().is_ok();
            if is_removed { Missing::RecordFile(reason) } else { Missing::Record(reason) }
        })?;
        // A copy of the same content does as well.
        if Some(found) != seen {
            match self.read_record(agent_type) {
                Ok(Some(local)) if *local.record == *record => {}
                Ok(_) => return Err(Missing::Record(at(&path, "it was replaced by another record"))),
                Err(error) => return Err(Missing::Record(error.message)),
            }
        }
        for digest in needed {
            let path = self.version_path(agent_type, digest);
            let bytes = record.versions.get(digest).map(|known| known.bytes);
            self.check_version(&path, digest, bytes)
                .map_err(|reason| Missing::Version(at(&path, &reason)))?;
            if let Some(problem) = self.signature_problem(&path, digest, signers) {
                return Err(Missing::Version(at(&path.with_extension("sig"), &problem)));
            }
        }
        // A copy of the folder takes the place of the first one.
        *self.folder_id.lock() = FolderId::of(&self.folder);
        Ok(found)
    }

    /// Returns `true` if the folders are not those of the start any more, so that nothing can be written.
    pub(crate) fn is_gone(&self) -> bool {
        self.check_folders().is_err()
    }

    /// The error is what has become of a version's file. `bytes` is its size, if that is known.
    fn check_version(&self, path: &Path, digest: &str, bytes: Option<u64>) -> Result<(), String> {
        let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
        if !found.is_file() {
            return Err(format!("it is {}, and no longer a file", kind_of(found.file_type())));
        }
        if bytes.is_some_and(|bytes| bytes != found.len()) {
            return Err("its size has changed".to_owned());
        }
        let found = self.digests.of(path).map_err(|error| error.to_string())?;
        if found.digest == digest { Ok(()) } else { Err("its content has changed".to_owned()) }
    }

    /// Why the next start would refuse a version for its signature.
    fn signature_problem(&self, path: &Path, digest: &str, signers: &[Signer]) -> Option<String> {
        if signers.is_empty() {
            return None;
        }
        self.signatures.problem(path, || match read_version(path, digest) {
            Ok(Some(Stored { wasm, signature })) => {
                signature::verify(signers, &wasm, signature.as_deref()).err().map(|error| error.to_string())
            }
            Ok(None) => Some("its component is missing".to_owned()),
            Err(error) => Some(error.message),
        })
    }

    /// The record that was here, if it is gone. Called at a start that has found none.
    pub(crate) fn find_lost(&self, agent_type: &str) -> Result<Option<Lost>, Error> {
        let note = self.note_path(agent_type);
        let digest = match read_bounded(&note, MAX_NOTE) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::unreadable(&note, error)),
        };
        let folder = self.folder_of(agent_type);
        let is_folder = !folder.exists();
        let missing = if is_folder { folder } else { self.record_path(agent_type) };
        Ok(Some(Lost { digest, note, missing, is_folder }))
    }

    /// Returns `true` if the file of this version is there, whatever it contains.
    pub(crate) fn has(&self, agent_type: &str, digest: &str) -> bool {
        self.version_path(agent_type, digest).exists()
    }
}

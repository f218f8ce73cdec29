//! The versions that a host has received, in its data folder: `versions/TYPE/DIGEST.wasm`, with a `.sig` beside it for
//! a signed one, and `versions/TYPE/record.json`, the record. `serving/TYPE` has the digest that serves, outside of that
//! folder, so that the next start notices its loss.
//!
//! A version is named by the SHA-256 of its bytes, which is checked on reading: an altered file does not serve. All
//! functions block.

mod digests;
mod identity;
mod missing;
mod presence;
mod signatures;

use std::collections::BTreeSet;
use std::io::{Error as IoError, ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Error;
use super::record::{self, LocalRecord, ReadError};
use super::versions_folder;
use super::watch::Stamp;
use daca_base::digest::digest;
use daca_base::files::{create_private_folder, read_bounded, write_lasting};
use daca_manifest::signature::{self, Signer};
use daca_model::{MAX_COMPONENT, MAX_SIGNATURE};
use digests::{Digests, FileDigest};
use identity::FolderId;
pub(super) use missing::{Lost, Missing};
use signatures::{Signatures, signature_files};

/// The maximum number of files of a mounted folder that are read.
const MAX_MOUNTED: usize = 1_000;
/// The maximum size in bytes of a file that names the serving version.
const MAX_NOTE: u64 = 1_024;
/// The maximum size of a record in bytes: far more than a thousand versions and pins have.
const MAX_RECORD: u64 = 256 * 1024 * 1024;

/// A component with its signature, as received.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) wasm: Bytes,
    pub(super) signature: Option<String>,
}

/// A version in the mounted folder.
#[derive(Debug, Clone)]
pub struct Mounted {
    /// The SHA-256 of its bytes.
    pub digest: String,
    /// The size in bytes.
    pub bytes: u64,
    /// Its file.
    pub path: PathBuf,
}

/// The folders of the versions.
#[derive(Debug, Clone)]
pub(super) struct Library {
    folder: PathBuf,
    data: PathBuf,
    /// The data folder, if it existed at the start.
    data_id: Option<FolderId>,
    /// The folder of the versions, once it exists.
    folder_id: Arc<Mutex<Option<FolderId>>>,
    /// A folder that is filled from outside, such as a mounted volume.
    mounted: Option<PathBuf>,
    digests: Arc<Digests>,
    signatures: Arc<Signatures>,
}

impl Library {
    pub(super) fn new(data: &Path, mounted: Option<PathBuf>) -> Library {
        let folder = data.join("versions");
        let folder_id = Mutex::new(FolderId::of(&folder));
        Library {
            folder,
            data: data.to_owned(),
            data_id: FolderId::of(data),
            folder_id: Arc::new(folder_id),
            mounted,
            digests: Arc::default(),
            signatures: Arc::default(),
        }
    }

    /// The stored record of a type; `None` if there is none.
    pub(super) fn read_record(&self, agent_type: &str) -> Result<Option<LocalRecord>, Error> {
        let path = self.record_path(agent_type);
        match read_bounded(&path, MAX_RECORD) {
            Ok(bytes) => record::read_local(&bytes).map(Some).map_err(|error| match error {
                ReadError::TooNew(_) => Error::record_too_new(&format!("{}: {error}", path.display())),
                ReadError::Damaged(reason) => Error::unreadable(&path, reason),
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::unreadable(&path, error)),
        }
    }

    /// Writes the record. Returns the state of its file, for [`Library::find_missing`].
    pub(super) fn write_record(&self, agent_type: &str, local: &LocalRecord) -> Result<Stamp, Error> {
        let path = self.record_path(agent_type);
        let json = serde_json::to_vec_pretty(local).map_err(|error| Error::unreadable(&path, error))?;
        // First: a change whose record is on disk must not fail any more.
        self.note_serving(agent_type, &local.record.serving)?;
        self.write(&path, &json)?;
        Stamp::read(&path).map_err(|error| Error::unwritable(&path, &error))
    }

    /// Stores a version. Does nothing if it is already stored.
    pub(super) fn store(&self, agent_type: &str, digest: &str, stored: &Stored) -> Result<(), Error> {
        let path = self.version_path(agent_type, digest);
        let kept = read_version(&path, digest).ok().flatten();
        let signature = stored.signature.as_deref().map(str::trim);
        let is_signed = kept.as_ref().is_some_and(|kept| kept.signature.as_deref() == signature);
        // First, so that a stored version always has its signature.
        if let Some(signature) = signature.filter(|_| !is_signed) {
            self.write(&path.with_extension("sig"), signature.as_bytes())?;
        }
        match kept {
            Some(_) => Ok(()),
            None => self.write(&path, &stored.wasm),
        }
    }

    /// Stores a version again if the next start could not serve the stored one: its file is missing or altered, or its
    /// signature is. Returns `false` if there was nothing to do.
    pub(super) fn restore(
        &self,
        agent_type: &str,
        digest: &str,
        stored: &Stored,
        signers: &[Signer],
    ) -> Result<bool, Error> {
        let verify = |it: &Stored| signature::verify(signers, &it.wasm, it.signature.as_deref());
        let kept = read_version(&self.version_path(agent_type, digest), digest);
        if kept.is_ok_and(|kept| kept.is_some_and(|kept| verify(&kept).is_ok())) {
            return Ok(false);
        }
        // A worse one must not take its place.
        verify(stored)?;
        self.store(agent_type, digest, stored)?;
        Ok(true)
    }

    /// A version by its digest, from the data folder or the mounted one; `None` if it is in neither.
    pub(super) fn load(&self, agent_type: &str, digest: &str) -> Result<Option<Stored>, Error> {
        match read_version(&self.version_path(agent_type, digest), digest) {
            Ok(Some(own)) => Ok(Some(own)),
            // A damaged file is as good as none.
            lacking => self.load_mounted(digest).map_or(lacking, |mounted| Ok(Some(mounted))),
        }
    }

    fn load_mounted(&self, digest: &str) -> Option<Stored> {
        let mounted = self.mounted().into_iter().find(|mounted| mounted.digest == digest)?;
        read_version(&mounted.path, digest).ok().flatten()
    }

    /// Why nothing can be read from the mounted folder.
    pub(super) fn mounted_problem(&self) -> Option<Error> {
        self.mounted.as_deref().and_then(versions_folder::problem)
    }

    /// The versions in the mounted folder. Unreadable files are skipped.
    pub(super) fn mounted(&self) -> Vec<Mounted> {
        let Some(entries) = self.mounted.as_ref().and_then(|folder| std::fs::read_dir(folder).ok()) else {
            return Vec::new();
        };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let components = paths.filter(|path| path.extension().is_some_and(|it| it == "wasm"));
        let read = |path: PathBuf| {
            let FileDigest { digest, bytes } = self.digests.of(&path).ok()?;
            Some(Mounted { digest, bytes, path })
        };
        components.take(MAX_MOUNTED).filter_map(read).collect()
    }

    /// Removes all versions of a type but these.
    pub(super) fn keep_only(&self, agent_type: &str, digests: &BTreeSet<String>) {
        let Ok(entries) = std::fs::read_dir(self.folder_of(agent_type)) else { return };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let is_version = path.extension().is_some_and(|it| it == "wasm" || it == "sig");
            let digest = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if is_version && !digests.contains(digest) {
                std::fs::remove_file(&path).ok(); // retried after the next deployment
            }
        }
    }

    /// Writes a file, and creates its folder. Writes nothing if the file has these bytes: a start must succeed on a full
    /// disk.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let folder = path.parent().unwrap_or(&self.folder);
        let is_there =
            || read_bounded(path, bytes.len() as u64 + 1).is_ok_and(|found| found.as_slice() == bytes);
        let write = || create_private_folder(folder).and_then(|()| write_lasting(path, &[bytes]));
        self.check_folders().and_then(|()| if is_there() { Ok(()) } else { write() }).map_err(|error| {
            match path.symlink_metadata() {
                // Anything else would have been replaced.
                Ok(found) if found.is_dir() => Error::obstructed(path),
                _ => Error::unwritable(path, &error),
            }
        })?;
        let mut folder_id = self.folder_id.lock();
        *folder_id = folder_id.or_else(|| FolderId::of(&self.folder));
        Ok(())
    }

    /// The folder of a type's versions and record.
    pub(super) fn folder_of(&self, agent_type: &str) -> PathBuf {
        self.folder.join(agent_type)
    }

    /// Writes the digest that serves beside the folder of the versions.
    fn note_serving(&self, agent_type: &str, digest: &str) -> Result<(), Error> {
        self.write(&self.note_path(agent_type), digest.as_bytes())
    }

    /// Fails if the folders are not those of the start: they were removed or renamed, or their disk was unmounted. The
    /// next start would not find files in a new folder of the same name.
    fn check_folders(&self) -> IoResult<()> {
        let gone = |what: &str| {
            Err(IoError::new(ErrorKind::NotFound, format!("the {what} from the start no longer exists")))
        };
        if self.data_id.is_some() && FolderId::of(&self.data) != self.data_id {
            return gone("data folder");
        }
        let folder_id = *self.folder_id.lock();
        if folder_id.is_some() && FolderId::of(&self.folder) != folder_id {
            return gone("folder of the deployed versions");
        }
        Ok(())
    }

    fn record_path(&self, agent_type: &str) -> PathBuf {
        self.folder_of(agent_type).join("record.json")
    }

    fn version_path(&self, agent_type: &str, digest: &str) -> PathBuf {
        self.folder_of(agent_type).join(format!("{digest}.wasm"))
    }

    fn note_path(&self, agent_type: &str) -> PathBuf {
        self.data.join("serving").join(agent_type)
    }
}

fn read_version(path: &Path, name: &str) -> Result<Option<Stored>, Error> {
    let wasm = match read_bounded(path, MAX_COMPONENT) {
        Ok(wasm) => wasm,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::unreadable(path, error)),
    };
    if digest(&wasm) != name {
        return Err(Error::unreadable(path, "the content does not match its digest"));
    }
    Ok(Some(Stored { wasm: wasm.into(), signature: read_signature(path) }))
}

fn read_signature(component: &Path) -> Option<String> {
    let bytes = signature_files(component).iter().find_map(|path| read_bounded(path, MAX_SIGNATURE).ok())?;
    Some(signature::text_of(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_that_has_the_bytes_is_not_written_again() {
        let folder = TempDir::new().expect("a folder");
        let library = Library::new(folder.path(), None);
        let path = library.record_path("A");
        let write = |text: &str| {
            library.write(&path, text.as_bytes()).expect("it is written");
            path.metadata().expect("it is there").ino()
        };
        let first = write("one");
        assert_eq!(write("one"), first);
        assert_ne!(write("one and more"), first);
        write("one");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"one");
    }
}

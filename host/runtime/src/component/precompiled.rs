//! Code that was compiled ahead of time and comes with the host, in its image, so that the first start does not
//! compile.
//!
//! It differs from the [cache](super::cache) in its author: `daca compile` wrote it when the image was built, for any
//! processor of this kind rather than for the one at hand. So it is only read, and is trusted as much as the program
//! itself: a user who may write the folder could as well replace the program. A file from another build of wasmtime, or
//! a truncated one, is not used, and the component is compiled.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use super::cache::deserialize;
use daca_base::files::{PRIVATE, read_bounded, write_whole};
use daca_base::{ErrorCode, Explained, Explanation};
use daca_model::MAX_COMPONENT;

/// Magic bytes of a file: its kind, and the version of this layout.
const MAGIC: &[u8; 16] = b"daca ahead v1\0\0\0";
/// The size of a SHA-256 in bytes.
const SUM: usize = 32;

/// Why code could not be compiled ahead of time.
#[derive(Debug, thiserror::Error)]
pub enum PrecompileError {
    /// The component.
    #[error("{0:#}")]
    Component(wasmtime::Error),
    /// The folder.
    #[error("{path}: {reason}")]
    Folder {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
}

impl Explained for PrecompileError {
    fn explanation(&self) -> Option<Explanation<'_>> {
        let (code, help) = match self {
            PrecompileError::Component(_) => (ErrorCode::ComponentInvalid, "`daca check` gives details"),
            PrecompileError::Folder { .. } => {
                (ErrorCode::DataUnwritable, "name a writable folder with --out DIR")
            }
        };
        Some(Explanation::new(code, help))
    }
}

/// Writes the code of the component whose file has this SHA-256. Returns the file.
pub(super) fn write(folder: &Path, component: &Component, digest: &str) -> Result<PathBuf, PrecompileError> {
    let code = component.serialize().map_err(PrecompileError::Component)?;
    let path = file(folder, digest);
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| write_whole(&path, &[&head(digest, &code), &code], PRIVATE))
        // The host that reads it runs as another user.
        .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)));
    written.map_err(|reason| PrecompileError::Folder { path: path.clone(), reason })?;
    Ok(path)
}

/// The code of the component whose file has this SHA-256; `None` if it must be compiled.
pub(super) fn read(folder: &Path, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
    let path = file(folder, digest);
    let size = std::fs::metadata(&path).ok()?.len();
    let refuse = |why: &str| {
        tracing::warn!(
            code = ErrorCode::CompiledCodeUnusable.as_str(),
            "{} {why}; compiling the component",
            path.display()
        );
    };
    if size > MAX_COMPONENT {
        refuse("is too large");
        return None;
    }
    if !is_trusted(folder) || !is_trusted(&path) {
        refuse("could be written by others than this user and root, and is not used");
        return None;
    }
    let bytes = read_bounded(&path, MAX_COMPONENT).ok()?;
    let Some(code) = verified(&bytes, digest) else {
        refuse("was not written by `daca compile`");
        return None;
    };
    deserialize(engine, code).inspect_err(|error| refuse(&format!("cannot be used here ({error:#})"))).ok()
}

pub(super) fn file(folder: &Path, digest: &str) -> PathBuf {
    folder.join(format!("{digest}.code"))
}

fn head(digest: &str, code: &[u8]) -> Vec<u8> {
    let mut sum = Sha256::new();
    sum.update(digest);
    sum.update(code);
    [&MAGIC[..], &sum.finalize()].concat()
}

fn verified<'a>(bytes: &'a [u8], digest: &str) -> Option<&'a [u8]> {
    let (found, code) = bytes.split_at_checked(MAGIC.len() + SUM)?;
    (found == head(digest, code)).then_some(code)
}

/// Returns `true` if the file belongs to this user or to root, and nobody else can write it.
fn is_trusted(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let own = rustix::process::geteuid().as_raw();
    std::fs::symlink_metadata(path)
        .is_ok_and(|found| [0, own].contains(&found.uid()) && found.mode() & 0o022 == 0)
}

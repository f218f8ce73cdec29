//! Compiled code on disk, so that a restart does not compile again.
//!
//! Loading compiled code means running whatever bytes the file has, so a file is loaded only if this host provably
//! wrote it: its head names the component, the configuration of the engine and the SHA-256 of the rest. Anything else
//! (truncated, altered, from another wasmtime) is compiled again and replaced. The folder is private to its owner: a
//! user who may write there could as well replace the host.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use daca_base::ErrorCode;
use daca_base::files::{PRIVATE, create_private_subfolder, read_bounded, write_whole};

/// Magic bytes of a file: its kind, and the version of this layout.
const MAGIC: &[u8; 16] = b"daca code v1\0\0\0\0";
/// The maximum size of a file in bytes: more than the code of the largest component has.
const MAX_CODE: u64 = 1024 * 1024 * 1024;
/// The size of a SHA-256 in bytes.
const SUM: usize = 32;

/// A folder of compiled components.
pub(super) struct CodeCache {
    folder: PathBuf,
    engine: u64,
}

impl CodeCache {
    pub(super) fn new(folder: PathBuf, engine: &wasmtime::Engine) -> CodeCache {
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        CodeCache { folder, engine: hasher.finish() }
    }

    /// The compiled component whose file has this SHA-256; `None` if it must be compiled.
    pub(super) fn read(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        let file = read_bounded(&path, MAX_CODE).ok()?;
        let refuse = |why: &str| {
            tracing::warn!(
                code = ErrorCode::CompiledCodeUnusable.as_str(),
                "{} {why}, and is not used; compiling again",
                path.display()
            );
        };
        if !is_own(&self.folder) || !is_own(&path) {
            refuse("can be written by others");
            return None;
        }
        let Some(code) = self.verified(&file, digest) else {
            refuse("was not written by this host");
            return None;
        };
        deserialize(engine, code).inspect_err(|error| refuse(&format!("cannot be loaded ({error:#})"))).ok()
    }

    /// Stores compiled code. A failure only costs the next start some time.
    pub(super) fn write(&self, digest: &str, code: &[u8]) {
        let head = self.head(digest, code);
        let written = create_private_subfolder(&self.folder)
            .and_then(|()| write_whole(&self.path(digest), &[&head, code], PRIVATE));
        if let Err(error) = written {
            tracing::warn!(
                code = ErrorCode::CompiledCodeNotKept.as_str(),
                "compiled code could not be kept in {}: {error}",
                self.folder.display()
            );
        }
    }

    /// Removes the code of versions that no longer exist, and of other builds of wasmtime. Foreign files stay, and so does
    /// that of the other engine, whose `other` cache has the same folder.
    pub(super) fn keep_only(&self, digests: &BTreeSet<String>, other: &CodeCache) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some((digest, _engine)) = name.strip_suffix(".code").and_then(|name| name.split_once('-'))
            else {
                continue;
            };
            let is_current = [self, other].iter().any(|cache| path == cache.path(digest));
            if !digests.contains(digest) || !is_current {
                // Somebody else may have removed it.
                std::fs::remove_file(&path).ok();
            }
        }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}-{:016x}.code", self.engine))
    }

    fn head(&self, digest: &str, code: &[u8]) -> Vec<u8> {
        let mut sum = Sha256::new();
        sum.update(digest);
        sum.update(self.engine.to_le_bytes());
        sum.update(code);
        [&MAGIC[..], &sum.finalize()].concat()
    }

    fn verified<'a>(&self, file: &'a [u8], digest: &str) -> Option<&'a [u8]> {
        let (head, code) = file.split_at_checked(MAGIC.len() + SUM)?;
        (head == self.head(digest, code)).then_some(code)
    }
}

/// Returns `true` if this user owns the file and nobody else can write it.
fn is_own(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let own = rustix::process::geteuid().as_raw();
    std::fs::symlink_metadata(path).is_ok_and(|found| found.uid() == own && found.mode() & 0o022 == 0)
}

/// Loads code that the caller has verified: it is complete by its SHA-256, and from somebody who could as well replace
/// this program; or it was just compiled, by this process or by another process of this program.
#[expect(unsafe_code, reason = "wasmtime cannot check compiled code; the caller has")]
pub(super) fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` is what `Engine::precompile_component` made: in this process or in one that this process has started from its
    // own program, through a pipe that nobody else has; or what `CodeCache::write` or `precompile` has kept of that, whole by its
    // SHA-256, and from this user or root by the owner and mode of file and folder.
    unsafe { Component::deserialize(engine, code) }
}

/// A hash that is the same in every process and on every machine, unlike the standard one.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let sum = self.0.clone().finalize();
        sum.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }
}

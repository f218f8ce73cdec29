//! Watches the file of a component, and reports its content once it has changed and nobody writes to it any more.
//!
//! A file changes in many ways: it is overwritten, another one is renamed over it, or a symbolic link on its path is
//! switched, as Kubernetes does with mounted volumes (`..data`) and people with `current -> releases/7`. So the
//! identity of the path's target decides, which is polled each second. File system events only make that faster: some
//! file systems have none, and none reports everything.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use notify::Watcher as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;

use daca_base::ErrorCode;
use daca_base::files::read_bounded;
use daca_manifest::signature;
use daca_model::{MAX_COMPONENT, MAX_SIGNATURE};

/// The poll interval when no event arrives.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A file that replaced another one is complete: it is written before it is renamed.
const SETTLED: Duration = Duration::from_millis(200);
/// A file that is written in place counts as complete once it has not changed for this time.
const WRITTEN: Duration = Duration::from_secs(1);
/// The time after which a missing file is reported: a replacement takes less.
const MISSING_TIMEOUT: Duration = Duration::from_secs(3);
/// The poll interval while a file changes.
const BUSY_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The content of a component's file.
#[derive(Debug, Clone)]
pub struct FileContent {
    /// The component.
    pub wasm: Bytes,
    /// Its SHA-256, in hexadecimal.
    pub digest: String,
    /// The text of the signature file beside it, if there is one. Not verified yet.
    pub signature: Option<String>,
    /// When the change was first noticed.
    pub changed_at: SystemTime,
}

/// A watched component file.
pub struct ComponentFile {
    path: PathBuf,
    /// The identity that was checked last, and need not be checked again.
    seen: Option<Identity>,
    /// The unreadable identity that was reported.
    unreadable: Option<Identity>,
    /// Digest and signature of the last reported content.
    known: Option<(String, Option<String>)>,
    /// When the change in progress was noticed.
    changed_at: Option<SystemTime>,
    /// `None` until the folders are watched, and after a change, which may have led to other folders.
    events: Option<FolderEvents>,
}

impl ComponentFile {
    /// Reads the current content of a file. Blocks.
    pub fn read(path: &Path) -> io::Result<FileContent> {
        let size = std::fs::metadata(path)?.len();
        if size > MAX_COMPONENT {
            let message = format!("it has {size} bytes; the maximum is {MAX_COMPONENT}");
            return Err(io::Error::new(ErrorKind::FileTooLarge, message));
        }
        let wasm = read_bounded(path, MAX_COMPONENT)?;
        let signature = match read_bounded(&signature_path(path), MAX_SIGNATURE) {
            Ok(file) => Some(signature::text_of(&file)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let digest = hex::encode(Sha256::digest(&wasm));
        Ok(FileContent { wasm: wasm.into(), digest, signature, changed_at: SystemTime::now() })
    }

    /// Watches a file, which need not exist. The first content that [`next`](ComponentFile::next) reports is the
    /// current one, unless [`knowing`](ComponentFile::knowing) says that it is known.
    pub fn new(path: impl Into<PathBuf>) -> ComponentFile {
        ComponentFile {
            path: path.into(),
            seen: None,
            unreadable: None,
            known: None,
            changed_at: None,
            events: None,
        }
    }

    /// Sets a content that need not be reported, such as the one from the start.
    pub fn knowing(mut self, content: &FileContent) -> ComponentFile {
        self.known = Some((content.digest.clone(), content.signature.clone()));
        self
    }

    /// Waits for the next content: another component, or another signature. A file that is written in place, with
    /// pauses of more than a second, is reported half-written, and complete later. Never ends; may be dropped at any
    /// time, and called again.
    pub async fn next(&mut self) -> FileContent {
        loop {
            let identity = self.next_settled().await;
            let found = self.read_settled(&identity).await;
            // The change may have led to other folders.
            self.events = None;
            match found {
                Ok(Some(content)) => {
                    self.seen = Some(identity);
                    let changed_at = self.changed_at.take().unwrap_or(content.changed_at);
                    let found = (content.digest.clone(), content.signature.clone());
                    if self.known.as_ref() != Some(&found) {
                        self.known = Some(found);
                        return FileContent { changed_at, ..content };
                    }
                }
                // It changed while it was read, and may change further.
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.miss(&identity).await;
                    self.seen = Some(identity);
                    self.changed_at = None;
                }
                Err(error) => self.complain(identity, &error).await,
            }
        }
    }

    /// Waits until the path leads to something new that no longer changes.
    async fn next_settled(&mut self) -> Identity {
        let mut found = self.look().await;
        while Some(&found) == self.seen.as_ref() {
            self.changed_at = None;
            self.wait().await;
            found = self.look().await;
        }
        self.changed_at.get_or_insert_with(SystemTime::now);
        let is_same_file = |one: &Identity, other: &Identity| {
            let inode = |identity: &Identity| identity.wasm.as_ref().map(|stamp| (stamp.device, stamp.inode));
            inode(one).is_some() && inode(one) == inode(other)
        };
        let in_place = self.seen.as_ref().is_some_and(|seen| is_same_file(seen, &found));
        let mut quiet = if in_place { WRITTEN } else { SETTLED };
        let mut still_since = Instant::now();
        while still_since.elapsed() < quiet {
            tokio::time::sleep(BUSY_POLL_INTERVAL).await;
            let now = self.look().await;
            if now != found {
                quiet = if is_same_file(&now, &found) { WRITTEN } else { quiet };
                found = now;
                still_since = Instant::now();
            }
        }
        found
    }

    /// `None` if the file has changed while it was read.
    async fn read_settled(&self, identity: &Identity) -> io::Result<Option<FileContent>> {
        let path = self.path.clone();
        let content = blocking(move || ComponentFile::read(&path)).await;
        if self.look().await != *identity {
            return Ok(None);
        }
        content.map(Some)
    }

    /// Reports that the file is gone, unless another one appears at once.
    async fn miss(&self, identity: &Identity) {
        let since = Instant::now();
        while since.elapsed() < MISSING_TIMEOUT {
            tokio::time::sleep(BUSY_POLL_INTERVAL).await;
            if self.look().await != *identity {
                return;
            }
        }
        tracing::warn!(
            code = ErrorCode::ComponentMissing.as_str(),
            "{}: the component's file is gone; the current version keeps serving. In a ConfigMap the key is the file's name",
            self.path.display()
        );
    }

    /// An unreadable file is retried forever: the disk may be the cause. It is reported once.
    async fn complain(&mut self, identity: Identity, error: &io::Error) {
        if self.unreadable.as_ref() != Some(&identity) {
            let code = match error.kind() {
                ErrorKind::FileTooLarge => ErrorCode::ComponentTooLarge,
                _ => ErrorCode::ComponentMissing,
            };
            tracing::warn!(
                code = code.as_str(),
                "{}: the changed file cannot be read: {error}",
                self.path.display()
            );
        }
        self.unreadable = Some(identity);
        self.changed_at = None;
        tokio::time::sleep(POLL_INTERVAL).await;
    }

    async fn look(&self) -> Identity {
        let path = self.path.clone();
        blocking(move || Identity::of(&path)).await
    }

    /// Waits until something may have changed. Returns at once the first time, since changes before the folders were
    /// watched have no events.
    async fn wait(&mut self) {
        match &self.events {
            Some(events) => events.wait().await,
            None => {
                let path = self.path.clone();
                self.events = Some(blocking(move || FolderEvents::new(&folders(&path))).await);
            }
        }
    }
}

/// The path of a component's signature: beside it.
pub fn signature_path(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

/// The files to which a path and its signature's path lead, and when they last changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    wasm: Option<Stamp>,
    signature: Option<Stamp>,
}

impl Identity {
    fn of(path: &Path) -> Identity {
        Identity { wasm: Stamp::of(path), signature: Stamp::of(&signature_path(path)) }
    }
}

/// The identity and state of a file: if two are equal, the content is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// The same for content, owner, mode or links.
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of a path's target. `None` if there is none.
    pub fn of(path: &Path) -> Option<Stamp> {
        Stamp::read(path).ok()
    }

    /// Returns `true` if the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// The same as [`Stamp::of`], with the reason if there is none.
    pub(crate) fn read(path: &Path) -> io::Result<Stamp> {
        Ok(Stamp::from(&std::fs::metadata(path)?))
    }
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Stamp {
        Stamp {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// Events of folders: a reason to check again, and no more.
pub struct FolderEvents {
    changed: Arc<Notify>,
    /// Watches as long as it lives. `None` if the operating system refuses: then polling each second must do.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl FolderEvents {
    /// Watches the entries of these folders, not of those in them. Blocks.
    pub fn new(folders: &[PathBuf]) -> FolderEvents {
        let changed = Arc::new(Notify::new());
        let watcher = watch(folders, changed.clone());
        if let Err(error) = &watcher {
            tracing::debug!("file events are unavailable, polling every {POLL_INTERVAL:?} instead: {error}");
        }
        FolderEvents { changed, _watcher: watcher.ok() }
    }

    /// Waits for an event, for a second at most.
    pub async fn wait(&self) {
        tokio::time::timeout(POLL_INTERVAL, self.changed.notified()).await.ok(); // in both cases: check again
        // One change has several events, and a busy folder thousands.
        tokio::time::sleep(BUSY_POLL_INTERVAL).await;
    }
}

fn watch(folders: &[PathBuf], changed: Arc<Notify>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is not a change. An error may stand for lost events.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            changed.notify_one();
        }
    })?;
    for folder in folders {
        // A folder that is gone by now, or cannot be watched, is polled each second.
        if let Err(error) = watcher.watch(folder, notify::RecursiveMode::NonRecursive) {
            tracing::debug!("{}: file events are unavailable: {error}", folder.display());
        }
    }
    Ok(watcher)
}

/// The folders in which a change may lead a path to another file: that of the file, and those of symbolic links on the
/// way. For a missing file, the nearest existing folder.
fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(path) = std::path::absolute(path) else { return Vec::new() };
    let is_link = |path: &&Path| path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    let links = path.ancestors().filter(is_link).filter_map(Path::parent).map(Path::to_owned);
    let target = path.canonicalize().unwrap_or_else(|_| path.clone());
    let nearest = |path: &Path| path.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_owned);
    // The signature is beside the path, wherever the path leads.
    let mut folders = links.chain(nearest(&path)).chain(nearest(&target)).collect::<Vec<_>>();
    folders.sort();
    folders.dedup();
    folders
}

/// Runs blocking work off the threads that serve calls.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime ends, and the waiting task with it.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

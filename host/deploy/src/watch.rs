//! Watching the file of a component: what it holds once it has changed and nobody writes to it any more.
//!
//! A file changes in many ways: it is written over, another one is renamed over it, or a symbolic link somewhere on its path
//! comes to lead elsewhere, as Kubernetes does with mounted volumes (`..data`) and people with `current -> releases/7`. So what
//! decides is the identity of the file that the path leads to, looked at each second. Events of the file system only make
//! that sooner: some file systems have none, and none tells the whole story.

use std::fs::Metadata;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use notify::Watcher as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;

use daca_model::LARGEST_COMPONENT;

/// Bytes of a signature file that are read. A longer one is no signature, which shows in these.
const LARGEST_SIGNATURE: u64 = 1024;
/// Between two looks when no event comes.
const POLL: Duration = Duration::from_secs(1);
/// A file that took the place of another one is whole: whoever renames has written before.
const SETTLED: Duration = Duration::from_millis(200);
/// A file that is written in place is taken for whole once it has not changed for so long.
const WRITTEN: Duration = Duration::from_secs(1);
/// A file that is gone for so long is missed: whoever replaces one needs less.
const MISSED: Duration = Duration::from_secs(3);
/// Between two looks while a file changes.
const LOOK: Duration = Duration::from_millis(20);

/// What the file of a component holds.
#[derive(Debug, Clone)]
pub struct FileContent {
    /// The component.
    pub wasm: Bytes,
    /// Its SHA-256, in hexadecimal.
    pub digest: String,
    /// The text of the signature file beside it, when there is one. Not yet verified.
    pub signature: Option<String>,
    /// When the change was first noticed.
    pub changed_at: SystemTime,
}

/// The file of a component, watched.
pub struct ComponentFile {
    path: PathBuf,
    /// What was looked at last, and need not be again.
    seen: Option<Identity>,
    /// What could not be read, and was said to be so.
    unreadable: Option<Identity>,
    /// Digest and signature of the content that was reported last.
    known: Option<(String, Option<String>)>,
    /// When the change was noticed that is being looked into.
    changed_at: Option<SystemTime>,
    /// None until the folders are watched, and after a change, which may have led to other folders.
    events: Option<FolderEvents>,
}

impl ComponentFile {
    /// Reads what the file holds now. Blocks.
    pub fn read(path: &Path) -> io::Result<FileContent> {
        let size = std::fs::metadata(path)?.len();
        if size > LARGEST_COMPONENT {
            let message = format!("it has {size} bytes, and {LARGEST_COMPONENT} is the most");
            return Err(io::Error::new(ErrorKind::FileTooLarge, message));
        }
        let wasm = read_bounded(path, LARGEST_COMPONENT)?;
        let signature = match read_bounded(&signature_path(path), LARGEST_SIGNATURE) {
            Ok(text) => Some(String::from_utf8_lossy(&text).into_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let digest = hex::encode(Sha256::digest(&wasm));
        Ok(FileContent { wasm: wasm.into(), digest, signature, changed_at: SystemTime::now() })
    }

    /// Watches a file, which need not be there. The first content that [`next`](ComponentFile::next) reports is the present
    /// one, unless [`knowing`](ComponentFile::knowing) says that it is known.
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

    /// With a content that need not be reported, such as the one that was read at the start.
    pub fn knowing(mut self, content: &FileContent) -> ComponentFile {
        self.known = Some((content.digest.clone(), content.signature.clone()));
        self
    }

    /// Waits for the next content: another component, or another signature. Whoever writes in place, with pauses of more
    /// than a second, has half a file reported, and later the whole. Never ends; may be dropped at any time, and called again.
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
                // It changed while it was read: it is not settled.
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

    /// Waits until the path leads to something that was not seen yet, and that has kept still.
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
            tokio::time::sleep(LOOK).await;
            let now = self.look().await;
            if now != found {
                quiet = if is_same_file(&now, &found) { WRITTEN } else { quiet };
                found = now;
                still_since = Instant::now();
            }
        }
        found
    }

    /// None when the file is not the same any more after it was read.
    async fn read_settled(&self, identity: &Identity) -> io::Result<Option<FileContent>> {
        let path = self.path.clone();
        let content = blocking(move || ComponentFile::read(&path)).await;
        if self.look().await != *identity {
            return Ok(None);
        }
        content.map(Some)
    }

    /// Says that there is no file any more, unless another one comes at once.
    async fn miss(&self, identity: &Identity) {
        let since = Instant::now();
        while since.elapsed() < MISSED {
            tokio::time::sleep(LOOK).await;
            if self.look().await != *identity {
                return;
            }
        }
        tracing::warn!(
            code = "component-missing",
            "{}: the component's file is gone; what serves serves on. In a ConfigMap the key is the file's name",
            self.path.display()
        );
    }

    /// What cannot be read is tried again for ever: it may be the disk's fault. It is said once.
    async fn complain(&mut self, identity: Identity, error: &io::Error) {
        if self.unreadable.as_ref() != Some(&identity) {
            let code = match error.kind() {
                ErrorKind::FileTooLarge => "component-too-large",
                _ => "component-missing",
            };
            tracing::warn!(code, "{}: the changed file cannot be read: {error}", self.path.display());
        }
        self.unreadable = Some(identity);
        self.changed_at = None;
        tokio::time::sleep(POLL).await;
    }

    async fn look(&self) -> Identity {
        let path = self.path.clone();
        blocking(move || Identity::of(&path)).await
    }

    /// Until something may have changed. The first time at once: what changed before the folders were watched has no event.
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

/// Where the signature of a component lies: beside it.
pub fn signature_path(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

/// Which files a path and that of its signature lead to, and when they last changed.
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

/// Which file it is, and in which state: two that are equal have the same content.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Of the file that a path leads to. None when there is nothing.
    pub fn of(path: &Path) -> Option<Stamp> {
        std::fs::metadata(path).ok().as_ref().map(Stamp::from)
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

/// Events of folders: a reason to look again, and no more.
pub struct FolderEvents {
    changed: Arc<Notify>,
    /// Watches for as long as it lives. None where the operating system refuses: then looking each second has to do.
    _watcher: Option<notify::RecommendedWatcher>,
}

impl FolderEvents {
    /// Watches the entries of these folders, not of those in them. Blocks.
    pub fn new(folders: &[PathBuf]) -> FolderEvents {
        let changed = Arc::new(Notify::new());
        let watcher = watch(folders, changed.clone());
        if let Err(error) = &watcher {
            tracing::debug!("no events of files, looking each {POLL:?} instead: {error}");
        }
        FolderEvents { changed, _watcher: watcher.ok() }
    }

    /// Waits for an event, for a second at most.
    pub async fn wait(&self) {
        // Both ends mean the same: look again.
        let _is_event = tokio::time::timeout(POLL, self.changed.notified()).await;
        // One change has several events, and a busy folder thousands.
        tokio::time::sleep(LOOK).await;
    }
}

fn watch(folders: &[PathBuf], changed: Arc<Notify>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is no change. An error may stand for lost events.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            changed.notify_one();
        }
    })?;
    for folder in folders {
        // One that is gone by now, or that cannot be watched, is looked at each second.
        if let Err(error) = watcher.watch(folder, notify::RecursiveMode::NonRecursive) {
            tracing::debug!("{}: no events: {error}", folder.display());
        }
    }
    Ok(watcher)
}

/// The folders in which a change may lead a path to another file: where the file is, and where a symbolic link on the way is.
/// Of a file that is not there, the nearest folder that is.
fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(path) = std::path::absolute(path) else { return Vec::new() };
    let is_link = |path: &&Path| path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    let links = path.ancestors().filter(is_link).filter_map(Path::parent).map(Path::to_owned);
    let target = path.canonicalize().unwrap_or_else(|_| path.clone());
    let nearest = |path: &Path| path.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_owned);
    // The signature lies beside the path, wherever the path leads.
    let mut folders = links.chain(nearest(&path)).chain(nearest(&target)).collect::<Vec<_>>();
    folders.sort();
    folders.dedup();
    folders
}

/// The first bytes of a regular file: nothing else, such as a pipe, which would block for ever.
pub(super) fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Off the threads that serve calls.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime ends, and with it whoever waits here.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

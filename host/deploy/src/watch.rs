//! Watches the file of a component, and reports its content once it has changed and nobody writes to it any more.
//!
//! A file changes in many ways: it is overwritten, another one is renamed over it, or a symbolic link on its path is
//! switched, as Kubernetes does with mounted volumes (`..data`) and people with `current -> releases/7`. So the
//! identity of the path's target decides, which is polled each second. File system events only make that faster: some
//! file systems have none, and none reports everything.

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

/// The bytes of a signature file that are read. A longer one is not a signature, which these bytes show.
const LARGEST_SIGNATURE: u64 = 1024;
/// The poll interval when no event arrives.
const POLL: Duration = Duration::from_secs(1);
/// A file that replaced another one is complete: it is written before it is renamed.
const SETTLED: Duration = Duration::from_millis(200);
/// A file that is written in place counts as complete once it has not changed for this time.
const WRITTEN: Duration = Duration::from_secs(1);
/// The time after which a missing file is reported: a replacement takes less.
const MISSED: Duration = Duration::from_secs(3);
/// The poll interval while a file changes.
const LOOK: Duration = Duration::from_millis(20);

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
        if size > LARGEST_COMPONENT {
            let message = format!("it has {size} bytes; the maximum is {LARGEST_COMPONENT}");
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
        while since.elapsed() < MISSED {
            tokio::time::sleep(LOOK).await;
            if self.look().await != *identity {
                return;
            }
        }
        tracing::warn!(
            code = "component-missing",
            "{}: the component's file is gone; the current version keeps serving. In a ConfigMap the key is the file's name",
            self.path.display()
        );
    }

    /// An unreadable file is retried forever: the disk may be the cause. It is reported once.
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
    /// The stamp of a path's target. `None` if there is none.
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
            tracing::debug!("file events are unavailable, polling every {POLL:?} instead: {error}");
        }
        FolderEvents { changed, _watcher: watcher.ok() }
    }

    /// Waits for an event, for a second at most.
    pub async fn wait(&self) {
        // Both results mean the same: check again.
        let _is_event = tokio::time::timeout(POLL, self.changed.notified()).await;
        // One change has several events, and a busy folder thousands.
        tokio::time::sleep(LOOK).await;
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

/// The first bytes of a regular file, and of nothing else: a pipe, for example, would block forever.
pub(super) fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
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
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;
    use std::pin::pin;

    use anyhow::{Context as _, bail};
    use tempfile::TempDir;

    use super::*;

    /// Long enough for whatever must happen.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// Long enough for what must not happen to show on most machines. A test that waits for it cannot fail by its length.
    const QUIET: Duration = Duration::from_millis(1_500);

    /// A watched file with the content "old", which is known.
    fn watched(path: &Path) -> anyhow::Result<ComponentFile> {
        if !path.exists() {
            std::fs::write(path, "old")?;
        }
        let content = ComponentFile::read(path)?;
        assert_eq!(content.wasm, "old");
        Ok(ComponentFile::new(path).knowing(&content))
    }

    /// What is reported of a change that is made while the file is watched.
    async fn report(
        file: &mut ComponentFile,
        change: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<FileContent>> {
        let mut next = pin!(file.next());
        if let Ok(content) = tokio::time::timeout(QUIET / 3, &mut next).await {
            bail!("reported before the change: {content:?}");
        }
        change()?;
        // In the middle of a wait it may be dropped, which loses nothing.
        Ok(tokio::time::timeout(QUIET, &mut next).await.ok())
    }

    async fn reported(
        file: &mut ComponentFile,
        change: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<FileContent> {
        match report(file, change).await? {
            Some(content) => Ok(content),
            None => tokio::time::timeout(PATIENCE, file.next()).await.context("the change was not reported"),
        }
    }

    #[tokio::test]
    async fn a_file_that_is_written_over_is_reported_once() -> anyhow::Result<()> {
        let folder = TempDir::new()?;
        let path = folder.path().join("a.wasm");
        let mut file = watched(&path)?;
        let content = reported(&mut file, || Ok(std::fs::write(&path, "new")?)).await?;
        assert_eq!((&content.wasm[..], content.signature), (&b"new"[..], None));
        assert_eq!(content.digest, hex::encode(Sha256::digest("new")));
        assert!(report(&mut file, || Ok(std::fs::write(&path, "new")?)).await?.is_none(), "the same again");
        Ok(())
    }

    #[tokio::test]
    async fn a_file_that_another_one_is_renamed_over_is_reported() -> anyhow::Result<()> {
        let folder = TempDir::new()?;
        let path = folder.path().join("a.wasm");
        let mut file = watched(&path)?;
        for text in ["new", "newer"] {
            let rename = || {
                std::fs::write(folder.path().join("unfinished"), text)?;
                Ok(std::fs::rename(folder.path().join("unfinished"), &path)?)
            };
            assert_eq!(reported(&mut file, rename).await?.wasm, text);
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_volume_of_kubernetes_is_reported_when_it_swaps_its_data() -> anyhow::Result<()> {
        let folder = TempDir::new()?;
        let volume = folder.path();
        let fill = |name: &str, text: &str| {
            std::fs::create_dir(volume.join(name))?;
            std::fs::write(volume.join(name).join("a.wasm"), text)
        };
        fill("..1", "old")?;
        symlink("..1", volume.join("..data"))?;
        symlink("..data/a.wasm", volume.join("a.wasm"))?;
        let mut file = watched(&volume.join("a.wasm"))?;
        for (before, after, text) in [("..1", "..2", "new"), ("..2", "..3", "newer")] {
            let swap = || {
                fill(after, text)?;
                symlink(after, volume.join("..data_tmp"))?;
                std::fs::rename(volume.join("..data_tmp"), volume.join("..data"))?;
                Ok(std::fs::remove_dir_all(volume.join(before))?)
            };
            assert_eq!(reported(&mut file, swap).await?.wasm, text);
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_link_on_the_way_that_leads_elsewhere_is_reported() -> anyhow::Result<()> {
        let folder = TempDir::new()?;
        let root = folder.path();
        for (release, text) in [("6", "old"), ("7", "new")] {
            std::fs::create_dir_all(root.join("releases").join(release).join("bin"))?;
            std::fs::write(root.join("releases").join(release).join("bin/a.wasm"), text)?;
        }
        symlink("releases/6", root.join("current"))?;
        let mut file = watched(&root.join("current/bin/a.wasm"))?;
        let switch = || {
            std::fs::remove_file(root.join("current"))?;
            Ok(symlink("releases/7", root.join("current"))?)
        };
        assert_eq!(reported(&mut file, switch).await?.wasm, "new");
        // And from there on it is the new one that is watched.
        let rewrite = || Ok(std::fs::write(root.join("releases/7/bin/a.wasm"), "newer")?);
        assert_eq!(reported(&mut file, rewrite).await?.wasm, "newer");
        Ok(())
    }

    #[tokio::test]
    async fn a_file_that_is_gone_for_a_while_is_reported_when_it_is_another() -> anyhow::Result<()> {
        let folder = TempDir::new()?;
        let inner = folder.path().join("target");
        std::fs::create_dir(&inner)?;
        let path = inner.join("a.wasm");
        let mut file = watched(&path)?;
        assert!(report(&mut file, || Ok(std::fs::remove_dir_all(&inner)?)).await?.is_none(), "it is gone");
        let create = |text: &'static str| {
            let (inner, path) = (&inner, &path);
            move || {
                std::fs::create_dir_all(inner)?;
                Ok(std::fs::write(path, text)?)
            }
        };
        assert!(report(&mut file, create("old")).await?.is_none(), "it is the same again");
        std::fs::remove_dir_all(&inner)?;
        assert_eq!(reported(&mut file, create("new")).await?.wasm, "new");
        Ok(())
    }

    #[tokio::test]
    async fn a_file_that_is_written_in_pieces_is_reported_as_a_whole() -> anyhow::Result<()> {
        let folder = TempDir::new()?;
        for attempt in 0..20 {
            let path = folder.path().join(format!("{attempt}.wasm"));
            let mut file = watched(&path)?;
            let target = path.clone();
            let writer = std::thread::spawn(move || -> io::Result<Duration> {
                let mut slowest = Duration::ZERO;
                let mut file = File::create(&target)?;
                let mut last = std::time::Instant::now();
                for _ in 0..20 {
                    file.write_all(b"piece ")?;
                    slowest = slowest.max(last.elapsed());
                    last = std::time::Instant::now();
                    std::thread::sleep(Duration::from_millis(50));
                }
                Ok(slowest)
            });
            let content = tokio::time::timeout(PATIENCE, file.next()).await?;
            let Ok(slowest) = writer.join() else { bail!("the writer panicked") };
            // On a busy machine the writer may be so slow that half a file is what must be reported.
            if slowest? < SETTLED {
                assert_eq!(content.wasm, "piece ".repeat(20));
                return Ok(());
            }
        }
        bail!("this machine never wrote two pieces within {SETTLED:?}")
    }

    #[tokio::test]
    async fn a_signature_that_comes_later_is_reported_with_its_component() -> anyhow::Result<()> {
        let folder = TempDir::new()?;
        let path = folder.path().join("a.wasm");
        let mut file = watched(&path)?;
        let sign = || Ok(std::fs::write(signature_path(&path), "signature\n")?);
        let content = reported(&mut file, sign).await?;
        assert_eq!((&content.wasm[..], content.signature.as_deref()), (&b"old"[..], Some("signature\n")));
        Ok(())
    }

    #[tokio::test]
    async fn what_cannot_be_read_hides_nothing_that_comes_after_it() -> anyhow::Result<()> {
        let folder = TempDir::new()?;
        let path = folder.path().join("a.wasm");
        let mut file = watched(&path)?;
        let replace = || {
            std::fs::remove_file(&path)?;
            Ok(std::fs::create_dir(&path)?)
        };
        assert!(report(&mut file, replace).await?.is_none(), "a folder is no component");
        let mend = || {
            std::fs::remove_dir(&path)?;
            Ok(std::fs::write(&path, "new")?)
        };
        assert_eq!(reported(&mut file, mend).await?.wasm, "new");
        Ok(())
    }
}

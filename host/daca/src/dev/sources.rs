//! The sources of an agent: detects when one of their files is changed, added or removed.
//!
//! As in [`daca_deploy::watch`], a check of the files decides, each second or after an event. So new folders, switched
//! branches and file systems without events need no special handling. A file has changed when its content has, so
//! rewriting the same content is not a change. A build's own output in the sources must not start another build:
//! [`Sources::built`] distinguishes it from saved files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use daca_deploy::watch::{FolderEvents, Stamp, blocking, signature_path};

/// The maximum number of watched files.
pub(super) const MAX_FILES: usize = 20_000;
/// Sources that change within this time of each other are built together.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// The same for a script, which nothing builds: an editor writes one small file.
const SCRIPT_DEBOUNCE: Duration = Duration::from_millis(20);
/// A file that was emptied is about to be written: some editors truncate it first.
const EMPTIED_DEBOUNCE: Duration = Duration::from_secs(1);
/// The bytes of a file whose content is compared. A longer file counts as changed when it was written.
const MAX_COMPARED: u64 = 1024 * 1024;
/// The bytes of all files whose content is read in one check.
const MAX_READ: u64 = 256 * 1024 * 1024;
/// A file that was written during so many consecutive builds is a build's output. People rarely save one so steadily.
const OWN_AFTER: u32 = 3;
/// The maximum number of consecutive builds that are caused by changes during the previous one.
const MAX_IN_A_ROW: u32 = 3;

/// Why sources cannot be watched.
pub(super) enum Error {
    /// A given path does not exist.
    Missing { path: PathBuf, reason: std::io::Error },
    /// There are more than [`MAX_FILES`].
    TooMany,
}

/// A change of the sources.
pub(super) struct SourceChange {
    /// One of the files that changed.
    pub(super) path: PathBuf,
    /// When it was noticed.
    pub(super) at: Instant,
}

/// The watched files and folders.
pub(super) struct Sources {
    roots: Arc<Roots>,
    /// The files at the last change.
    seen: Arc<Files>,
    /// The number of consecutive builds, up to the last one, during which a file was written.
    written: BTreeMap<PathBuf, u32>,
    /// The number of consecutive builds that were caused by changes during the previous one.
    in_a_row: u32,
    /// Changes within this time of each other are one change.
    debounce: Duration,
    /// `None` until the folders are watched, and after a change, which may have added new ones.
    events: Option<FolderEvents>,
}

/// The given paths, and the build's output paths.
struct Roots {
    watched: Vec<PathBuf>,
    outputs: Vec<PathBuf>,
}

/// The files of the sources.
type Files = BTreeMap<PathBuf, Option<SeenFile>>;

/// A checked file. The same stamp means the same content.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SeenFile {
    stamp: Stamp,
    /// The SHA-256 of the content; `None` if it was not read.
    content: Option<[u8; 32]>,
}

impl SeenFile {
    fn has_content_of(&self, other: &SeenFile) -> bool {
        self.stamp == other.stamp || (self.content.is_some() && self.content == other.content)
    }
}

impl Sources {
    /// Everything below these paths, except the build's output. Blocks.
    pub(super) fn new(watched: Vec<PathBuf>, component: &Path) -> Result<Sources, Error> {
        for path in &watched {
            std::fs::metadata(path).map_err(|reason| Error::Missing { path: path.clone(), reason })?;
        }
        let outputs = vec![component.to_owned(), signature_path(component)];
        let sources = Sources::of(Roots { watched, outputs }, DEBOUNCE);
        if sources.seen.len() >= MAX_FILES { Err(Error::TooMany) } else { Ok(sources) }
    }

    /// A file that nothing builds, and which need not be there. Blocks.
    pub(super) fn of_file(path: &Path) -> Sources {
        Sources::of(Roots { watched: vec![path.to_owned()], outputs: Vec::new() }, SCRIPT_DEBOUNCE)
    }

    fn of(roots: Roots, debounce: Duration) -> Sources {
        let roots = Arc::new(roots);
        let seen = roots.look(&Files::new()).files;
        Sources { roots, seen, written: BTreeMap::new(), in_a_row: 0, debounce, events: None }
    }

    /// Waits for the next change since the last returned one, and until nothing changes any more. May be dropped at any
    /// time, and called again.
    pub(super) async fn next(&mut self) -> SourceChange {
        loop {
            let found = self.look().await;
            if let Some(path) = difference(&self.seen, &found.files) {
                let at = Instant::now();
                self.seen = self.settled(found.files).await;
                self.events = None;
                return SourceChange { path, at };
            }
            // With the new stamps of files that were rewritten with the same content.
            self.seen = found.files;
            match &self.events {
                Some(events) => events.wait().await,
                // Earlier changes have no event: so check again at once.
                None => self.events = Some(blocking(move || FolderEvents::new(&found.folders)).await),
            }
        }
    }

    /// Ends a build. Files that changed during it were saved by somebody or written by the build. Changes that are not
    /// the build's own are left for [`next`](Sources::next). Returns a file whose change is ignored, if builds would
    /// otherwise go on forever because of it.
    pub(super) async fn built(&mut self) -> Option<PathBuf> {
        let found = self.look().await.files;
        let paths = found.keys().chain(self.seen.keys().filter(|path| !found.contains_key(*path)));
        let is_written = |path: &&PathBuf| found.get(*path) != self.seen.get(*path);
        let before = std::mem::take(&mut self.written);
        let count = |path: &PathBuf| (path.clone(), before.get(path).map_or(1, |builds| builds + 1));
        self.written = paths.filter(is_written).map(count).collect();
        let mut left = self
            .written
            .iter()
            .filter(|(path, builds)| **builds < OWN_AFTER && changed(&self.seen, &found, path));
        let Some((path, _)) = left.next() else {
            (self.seen, self.in_a_row) = (found, 0);
            return None;
        };
        if self.in_a_row == MAX_IN_A_ROW {
            let path = path.clone();
            (self.seen, self.in_a_row) = (found, 0);
            return Some(path);
        }
        self.in_a_row += 1;
        None
    }

    async fn settled(&self, mut files: Arc<Files>) -> Arc<Files> {
        let mut still_since = Instant::now();
        loop {
            tokio::time::sleep(self.debounce).await;
            let now = self.look().await.files;
            if now != files {
                (files, still_since) = (now, Instant::now());
            } else if !has_emptied(&self.seen, &now) || still_since.elapsed() >= EMPTIED_DEBOUNCE {
                return now;
            }
        }
    }

    async fn look(&self) -> Found {
        let (roots, seen) = (self.roots.clone(), self.seen.clone());
        blocking(move || roots.look(&seen)).await
    }
}

/// The result of a check.
struct Found {
    files: Arc<Files>,
    /// The folders of the files.
    folders: Vec<PathBuf>,
}

impl Roots {
    /// `seen` has the content of files that were not written since.
    fn look(&self, seen: &Files) -> Found {
        let mut look = Look { seen, may_read: MAX_READ, files: Files::new(), folders: Vec::new() };
        for path in &self.watched {
            if path.is_dir() {
                self.look_into(path.clone(), &mut look);
            } else {
                look.folders.extend(folder_of(path).filter(|folder| folder.is_dir()).map(Path::to_owned));
                look.add(path.clone());
            }
        }
        let Look { files, mut folders, .. } = look;
        folders.sort();
        folders.dedup();
        Found { files: Arc::new(files), folders }
    }

    /// Links to folders are not followed: they may form a circle.
    fn look_into(&self, root: PathBuf, look: &mut Look<'_>) {
        let mut folders = vec![root];
        while let Some(folder) = folders.pop() {
            // A folder that is being removed is a change that the next check sees.
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                if is_ignored(&entry.file_name().to_string_lossy()) || self.outputs.contains(&path) {
                    continue;
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else if look.files.len() < MAX_FILES {
                    look.add(path);
                }
            }
            look.folders.push(folder);
        }
    }
}

/// The folder of a file. The parent of a bare name is the empty path, which is no folder for the operating system.
fn folder_of(path: &Path) -> Option<&Path> {
    path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

/// A check of the files.
struct Look<'a> {
    /// The previous check.
    seen: &'a Files,
    /// Bytes that may still be read.
    may_read: u64,
    files: Files,
    folders: Vec<PathBuf>,
}

impl Look<'_> {
    fn add(&mut self, path: PathBuf) {
        let known = self.seen.get(&path).and_then(Option::as_ref);
        // Before the content is read: a file that is written in the meantime has another stamp.
        let file = Stamp::of(&path).map(|stamp| match known {
            Some(known) if known.stamp == stamp => known.clone(),
            _ => SeenFile { content: content(&path, &mut self.may_read), stamp },
        });
        self.files.insert(path, file);
    }
}

/// The SHA-256 of a regular file that is not too long.
fn content(path: &Path, may_read: &mut u64) -> Option<[u8; 32]> {
    let length = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
    if length > MAX_COMPARED.min(*may_read) {
        return None;
    }
    *may_read -= length;
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(length + 1).read_to_end(&mut bytes).ok()?;
    // A file that has grown in the meantime has another stamp as well.
    (bytes.len() as u64 == length).then(|| Sha256::digest(&bytes).into())
}

/// Files that a build or an editor writes beside the sources: the folders of toolchains, hidden files such as those of
/// git and vim, and temporary copies of saved files.
fn is_ignored(name: &str) -> bool {
    ["__pycache__", "build", "dist", "node_modules", "target", "venv"].contains(&name)
        || name.starts_with(['.', '#'])
        || name.ends_with(['~', '#'])
        || [".swp", ".tmp", ".bak", ".orig", "___jb_tmp___", "___jb_old___"].iter().any(|end| name.ends_with(end))
        // vim creates it to test whether it may.
        || name == "4913"
}

/// A file whose content differs between the two.
fn difference(before: &Files, after: &Files) -> Option<PathBuf> {
    after.keys().chain(before.keys()).find(|path| changed(before, after, path)).cloned()
}

fn changed(before: &Files, after: &Files, path: &Path) -> bool {
    match (before.get(path), after.get(path)) {
        (Some(Some(before)), Some(Some(after))) => !after.has_content_of(before),
        (before, after) => before != after,
    }
}

/// Returns `true` if a file has become empty, or is new and empty.
fn has_emptied(before: &Files, after: &Files) -> bool {
    let is_empty = |file: &Option<SeenFile>| file.as_ref().is_some_and(|file| file.stamp.is_empty());
    after.iter().any(|(path, file)| is_empty(file) && changed(before, after, path))
}

#[cfg(test)]
mod tests;

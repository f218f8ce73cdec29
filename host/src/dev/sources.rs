//! The sources of an agent: tells when a file of them has changed, appeared or gone.
//!
//! As in [`crate::deploy::watch`], what decides is a look at the files, each second or when an event says so. So a new folder, a
//! switched branch and a file system without events need nothing of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::deploy::watch::{FolderEvents, Stamp, blocking, signature_path};

/// Files that are watched, at most.
pub(super) const MOST_FILES: usize = 20_000;
/// Sources are saved together, and built together, when they change within so long of each other.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Why sources cannot be watched.
pub(super) enum Error {
    /// Something that was named is not there.
    Missing { path: PathBuf, reason: std::io::Error },
    /// There are more than [`MOST_FILES`].
    TooMany,
}

/// A change of the sources.
pub(super) struct Change {
    /// One of the files that changed.
    pub(super) path: PathBuf,
    /// When it was noticed.
    pub(super) at: Instant,
}

/// Files and folders that are watched.
pub(super) struct Sources {
    roots: Arc<Roots>,
    /// What the last change led to.
    seen: Files,
    /// None until the folders are watched, and after a change, which may have brought new ones.
    events: Option<FolderEvents>,
}

/// What was named, and what a build writes, wherever that is.
struct Roots {
    watched: Vec<PathBuf>,
    outputs: [PathBuf; 2],
}

/// The files of the sources. The same stamp is the same content.
type Files = BTreeMap<PathBuf, Option<Stamp>>;

impl Sources {
    /// Everything below these paths, but for what the build makes. Blocks.
    pub(super) fn new(watched: Vec<PathBuf>, component: &Path) -> Result<Sources, Error> {
        for path in &watched {
            std::fs::metadata(path).map_err(|reason| Error::Missing { path: path.clone(), reason })?;
        }
        let outputs = [component.to_owned(), signature_path(component)];
        let roots = Arc::new(Roots { watched, outputs });
        let seen = roots.look().files;
        if seen.len() >= MOST_FILES { Err(Error::TooMany) } else { Ok(Sources { roots, seen, events: None }) }
    }

    /// Waits for the next change since the last one that was answered, and until nothing more changes.
    pub(super) async fn next(&mut self) -> Change {
        loop {
            let found = self.look().await;
            if let Some(path) = difference(&self.seen, &found.files) {
                let at = Instant::now();
                self.seen = self.settled(found.files).await;
                self.events = None;
                return Change { path, at };
            }
            match &self.events {
                Some(events) => events.wait().await,
                // What changes before this has no event: so look again at once.
                None => self.events = Some(blocking(move || FolderEvents::new(&found.folders)).await),
            }
        }
    }

    async fn settled(&self, mut files: Files) -> Files {
        loop {
            tokio::time::sleep(DEBOUNCE).await;
            let now = self.look().await.files;
            if now == files {
                return now;
            }
            files = now;
        }
    }

    async fn look(&self) -> Found {
        let roots = self.roots.clone();
        blocking(move || roots.look()).await
    }
}

/// What a look has found.
#[derive(Default)]
struct Found {
    files: Files,
    /// The folders that the files lie in.
    folders: Vec<PathBuf>,
}

impl Roots {
    fn look(&self) -> Found {
        let mut found = Found::default();
        for path in &self.watched {
            if path.is_dir() {
                self.look_into(path.clone(), &mut found);
            } else {
                found.folders.extend(path.parent().filter(|folder| folder.is_dir()).map(Path::to_owned));
                found.files.insert(path.clone(), Stamp::of(path));
            }
        }
        found.folders.sort();
        found.folders.dedup();
        found
    }

    /// Links to folders are not followed: they may lead in a circle.
    fn look_into(&self, root: PathBuf, found: &mut Found) {
        let mut folders = vec![root];
        while let Some(folder) = folders.pop() {
            // A folder that goes away just now is a change that the next look sees.
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                if is_ignored(&entry.file_name().to_string_lossy()) || self.outputs.contains(&path) {
                    continue;
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else if found.files.len() < MOST_FILES {
                    found.files.insert(path.clone(), Stamp::of(&path));
                }
            }
            found.folders.push(folder);
        }
    }
}

/// What a build or an editor writes beside the sources: cargo's folder, hidden files, such as those of git and vim, and copies
/// that are made while a file is saved.
fn is_ignored(name: &str) -> bool {
    name == "target"
        || name.starts_with(['.', '#'])
        || name.ends_with(['~', '#'])
        || [".swp", ".tmp", ".bak", ".orig", "___jb_tmp___", "___jb_old___"].iter().any(|end| name.ends_with(end))
        // What vim creates to see whether it may.
        || name == "4913"
}

/// A file that is not the same in both.
fn difference(before: &Files, after: &Files) -> Option<PathBuf> {
    let changed = after.iter().find(|(path, stamp)| before.get(*path) != Some(*stamp));
    let gone = || before.iter().find(|(path, _)| !after.contains_key(*path));
    changed.or_else(gone).map(|(path, _)| path.clone())
}

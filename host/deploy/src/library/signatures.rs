//! The signatures of versions, each of which is checked once as long as its files do not change: the versions in use are
//! looked at each second.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::watch::Stamp;

/// The versions that are remembered; beyond it all are forgotten. More than are in use.
const MAX_VERSIONS: usize = 4_096;

/// A component and the files that may have its signature. `None` for one that is missing.
type Stamps = [Option<Stamp>; 3];

/// What was wrong with the signatures of versions, by the paths of their components.
#[derive(Debug, Default)]
pub(super) struct Signatures(Mutex<HashMap<PathBuf, (Stamps, Option<String>)>>);

impl Signatures {
    /// Why a version is not signed; `None` if it is. Blocks, and runs the check if a file may have changed since the last
    /// time.
    pub(super) fn problem(&self, path: &Path, check: impl FnOnce() -> Option<String>) -> Option<String> {
        let before = stamps(path);
        let known = self.0.lock().get(path).filter(|(seen, _)| *seen == before).cloned();
        if let Some((_, problem)) = known {
            return problem;
        }
        let problem = check();
        // Files that were written meanwhile are read again the next time.
        if stamps(path) == before {
            let mut versions = self.0.lock();
            if versions.len() >= MAX_VERSIONS {
                versions.clear();
            }
            versions.insert(path.to_owned(), (before, problem.clone()));
        }
        problem
    }
}

/// The files that may have the signature of a component in the data folder or in a mounted one: `daca sign` names it
/// `NAME.wasm.sig`.
pub(super) fn signature_files(component: &Path) -> [PathBuf; 2] {
    ["sig", "wasm.sig"].map(|extension| component.with_extension(extension))
}

fn stamps(component: &Path) -> Stamps {
    let [own, mounted] = signature_files(component);
    [component, own.as_path(), mounted.as_path()].map(Stamp::of)
}

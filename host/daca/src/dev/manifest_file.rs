//! The manifest's file. It is read when the host starts, so a later change must be reported.

use std::path::{Path, PathBuf};

use daca_base::ErrorCode;

use super::sources::Sources;

pub(super) struct ManifestFile {
    path: PathBuf,
    sources: Sources,
}

impl ManifestFile {
    /// Every change from now on is reported. Blocks.
    pub(super) fn new(path: &Path) -> ManifestFile {
        ManifestFile { path: path.to_owned(), sources: Sources::of_file(path) }
    }

    /// Reports each change. Never ends; may be dropped at any time, and called again.
    pub(super) async fn follow(&mut self) {
        loop {
            self.sources.next().await;
            tracing::warn!(
                code = ErrorCode::DevManifestChanged.as_str(),
                "{} has changed; end daca dev and start it again to apply that",
                self.path.display()
            );
        }
    }
}

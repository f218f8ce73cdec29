//! Files that are written whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Creates a folder, and those above it, for this user alone.
pub fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Creates a folder for this user alone in one that must be there: where a data folder was removed, none appears in its place.
pub fn create_private_subfolder(folder: &Path) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// Writes beside the target and renames, so that a crash of the process leaves the old file or the new one. The file is for this
/// user alone.
pub fn write_whole(target: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    write(target, parts, false)
}

/// The same, and the new file is on disk when this returns, so that a crash of the machine does not lose it either.
pub fn write_lasting(target: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    write(target, parts, true)?;
    match target.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write(target: &Path, parts: &[&[u8]], lasting: bool) -> std::io::Result<()> {
    let unfinished = target.with_extension(format!("{}.unfinished", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    let written = parts.iter().try_for_each(|part| file.write_all(part));
    // Before the rename, which may be on disk earlier than what it leads to.
    let written = written.and_then(|()| if lasting { file.sync_all() } else { Ok(()) });
    written.and_then(|()| std::fs::rename(&unfinished, target)).inspect_err(|_| {
        // What is half written takes room, and is of no use to anybody.
        let _ = std::fs::remove_file(&unfinished);
    })
}

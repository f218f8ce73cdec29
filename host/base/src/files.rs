//! Files that are written completely or not at all, and read within bounds.

use std::fs::{DirBuilder, File, FileType, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The mode of a file that only this user can access.
pub const PRIVATE: u32 = 0o600;
/// The mode of a file that others can access as far as the umask allows.
pub const BY_UMASK: u32 = 0o666;

/// Opens a regular file for reading. Anything else is refused: a device has no end, and a pipe may have no writer, so
/// that opening it would wait for ever. A folder is opened, because its error when it is read names it best.
pub fn open_regular(path: &Path) -> std::io::Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        let reason = format!("it is {}, and not a regular file", kind_of(kind));
        return Err(std::io::Error::new(ErrorKind::InvalidInput, reason));
    }
    File::open(path)
}

/// The name of a kind of file, for people.
pub fn kind_of(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_file() => "a file",
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    }
}

/// What to do where something cannot be written because there is no room. `None` for any other reason.
pub fn no_room(path: &Path, reason: &std::io::Error) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    // A failed command may have removed what it had made.
    let folder = path.ancestors().find(|folder| folder.is_dir())?.display();
    match reason.kind() {
        ErrorKind::StorageFull => {
            Some(format!("the disk with the folder {folder} is full: free space on it"))
        }
        ErrorKind::QuotaExceeded => Some(format!(
            "the quota of the disk with the folder {folder} is used up: free space on it, or raise it"
        )),
        ErrorKind::FileTooLarge => Some(format!(
            "a limit on the size of files holds for the folder {folder}: raise it (`ulimit -f`)"
        )),
        _ => None,
    }
}

/// What to do where the data folder, or something in it, cannot be written.
pub fn help_with_data(path: &Path, reason: &std::io::Error) -> String {
    let help = no_room(path, reason);
    let help = help.as_deref().unwrap_or("make the folder writable for this user");
    format!("{help}, or name another folder with --data DIR")
}

/// Reads a regular file, but no more than `most` bytes.
pub fn read_bounded(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Creates a folder and its parents, accessible to this user only.
pub fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Creates a folder, accessible to this user only, in an existing one: a removed data folder is not recreated.
pub fn create_private_subfolder(folder: &Path) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// Writes beside the target and renames: a crash of the process leaves the old file or the new one, and a watcher never
/// sees a part of it. The mode is [`PRIVATE`] or [`BY_UMASK`].
pub fn write_whole(target: &Path, parts: &[&[u8]], mode: u32) -> std::io::Result<()> {
    write(target, parts, mode, false)
}

/// The same for a private file, which is on disk when this returns, so that a crash of the machine does not lose it
/// either.
pub fn write_lasting(target: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    write(target, parts, PRIVATE, true)?;
    match target.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write(target: &Path, parts: &[&[u8]], mode: u32, lasting: bool) -> std::io::Result<()> {
    let Some(name) = target.file_name() else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let mut unfinished = name.to_owned();
    unfinished.push(format!(".{}.unfinished", std::process::id()));
    let unfinished = target.with_file_name(unfinished);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&unfinished)?;
    let written = parts.iter().try_for_each(|part| file.write_all(part));
    // Before the rename, which may be on disk earlier than the content.
    let written = written.and_then(|()| if lasting { file.sync_all() } else { Ok(()) });
    written.and_then(|()| std::fs::rename(&unfinished, target)).inspect_err(|_| {
        // A partial file is useless, and takes space.
        let _ = std::fs::remove_file(&unfinished);
    })
}

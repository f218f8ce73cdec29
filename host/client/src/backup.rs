//! `daca backup`: takes a backup of a running host. The file gets its name once it is whole and on disk.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use daca_base::archive::{ArchiveError, ArchiveReader};
use daca_base::files::open_regular;
use daca_base::telemetry::printable;
use daca_model::admin::LEFT_OUT_HEADER;
use reqwest::{Method, Response};
use tokio::signal::unix::{SignalKind, signal};

use super::admin::{Admin, Error, causes, path};

/// Writes a backup to a file. `force` replaces an existing one.
pub async fn backup(admin: &Admin, output: &Path, force: bool) -> Result<String, Error> {
    refuse_existing(output, force)?;
    let unfinished = output.with_extension(format!("{}.unfinished", std::process::id()));
    // First: while a host makes a backup that nobody can write, it refuses others.
    let file = create(&unfinished)?;
    let taken = tokio::select! {
        taken = take(admin, file, &unfinished) => taken,
        () = stopped() => Err(Error::BackupCut("it was stopped by a signal".to_owned())),
    };
    let kept = taken.and_then(|taken| Ok((taken, keep(&unfinished, output, force)?)));
    let (Taken { bytes, left_out }, entries) = kept.inspect_err(|_| {
        // It is useless, and takes space.
        std::fs::remove_file(&unfinished).ok();
    })?;
    Ok(format!("{}: a backup of {bytes} bytes, with {entries} entries{left_out}", output.display()))
}

/// What a host has sent.
struct Taken {
    bytes: u64,
    /// What is said of the versions that are not in it.
    left_out: String,
}

async fn take(admin: &Admin, file: File, unfinished: &Path) -> Result<Taken, Error> {
    let response = admin.open(admin.request(Method::POST, &path(&["backup"], &[]))).await?;
    let left_out = response.headers().get(LEFT_OUT_HEADER).and_then(|names| names.to_str().ok());
    let left_out = left_out.map_or_else(String::new, |names| {
        format!("\nnot in it, because their files are missing or damaged: {}", printable(names))
    });
    Ok(Taken { bytes: receive(response, file, unfinished).await?, left_out })
}

/// Ends at the first SIGINT or SIGTERM. Where they cannot be watched, they end the process.
async fn stopped() {
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn refuse_existing(output: &Path, force: bool) -> Result<(), Error> {
    // Not even by force anything but a file: a device, a pipe or a link would be replaced as well.
    let is_in_the_way = output.symlink_metadata().is_ok_and(|found| !force || !found.is_file());
    if is_in_the_way { Err(Error::BackupExists(output.to_owned())) } else { Ok(()) }
}

fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |reason| Error::BackupUnwritable { path: path.to_owned(), reason }
}

/// Makes the file. It will have every conversation, so it is its owner's alone.
fn create(unfinished: &Path) -> Result<File, Error> {
    // Of an earlier process with the same number. A file that somebody else has put there would stay theirs to read.
    std::fs::remove_file(unfinished).ok();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(unfinished).map_err(unwritable(unfinished))
}

/// Writes what the host sends, and returns its length.
async fn receive(mut response: Response, mut file: File, unfinished: &Path) -> Result<u64, Error> {
    let unwritable = unwritable(unfinished);
    let mut bytes = 0;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                file.write_all(&chunk).map_err(&unwritable)?;
                bytes += chunk.len() as u64;
            }
            Ok(None) => break,
            Err(error) => return Err(Error::BackupCut(format!("the connection broke: {}", causes(&error)))),
        }
    }
    file.sync_all().map_err(&unwritable)?;
    Ok(bytes)
}

/// Gives the file its name if it is whole, and returns the number of its entries.
fn keep(unfinished: &Path, output: &Path, force: bool) -> Result<u64, Error> {
    let entries = count(unfinished).map_err(Error::Backup)?;
    // It may have been made meanwhile.
    refuse_existing(output, force)?;
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::rename(unfinished, output)
        .and_then(|()| File::open(folder.unwrap_or(Path::new(".")))?.sync_all())
        .map_err(unwritable(output))?;
    Ok(entries)
}

fn count(file: &Path) -> Result<u64, ArchiveError> {
    let mut archive = ArchiveReader::new(BufReader::new(open_regular(file)?))?;
    let mut entries = 0;
    while archive.next_frame()?.is_some() {
        entries += 1;
    }
    Ok(entries)
}

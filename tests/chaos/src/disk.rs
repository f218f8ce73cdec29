//! A small disk of its own under the data of a server, which can be filled and emptied: a tmpfs, which only root may mount.
//!
//! It is filled without taking memory: its size becomes what is on it, and a file takes the rest.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// How often a size is set: what is on the disk may grow meanwhile.
const TRIES: usize = 10;
/// What is left beside the data for the file that fills the disk.
const SLACK: u64 = 64 << 10;

/// A mounted disk. It goes away with this.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    at: PathBuf,
    megabytes: u32,
}

impl SmallDisk {
    /// Mounts one at a folder, which is made.
    pub(crate) fn mount(at: &Path, megabytes: u32) -> anyhow::Result<SmallDisk> {
        std::fs::create_dir_all(at)?;
        let disk = SmallDisk { at: at.to_owned(), megabytes };
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &disk.size(), "tmpfs"]).arg(at);
        if let Err(error) = run(command) {
            // There is nothing to unmount.
            std::mem::forget(disk);
            return Err(error);
        }
        Ok(disk)
    }

    /// Leaves no room on it.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        let mut last = None;
        for _ in 0..TRIES {
            let stat = rustix::fs::statvfs(self.at.as_path())?;
            let used = stat.f_blocks.saturating_sub(stat.f_bfree) * stat.f_frsize;
            match self.remount(&format!("size={}", used + SLACK)) {
                Ok(()) => return self.take_the_rest(),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("a disk is filled in one of several tries")?)
    }

    /// Gives it room again.
    pub(crate) fn empty(&self) -> anyhow::Result<()> {
        self.remount(&self.size())?;
        match std::fs::remove_file(self.filler()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn take_the_rest(&self) -> anyhow::Result<()> {
        let mut file = File::create(self.filler())?;
        while file.write_all(&[1; 4096]).is_ok() {}
        Ok(())
    }

    fn remount(&self, size: &str) -> anyhow::Result<()> {
        let mut command = Command::new("mount");
        command.args(["-o", &format!("remount,{size}")]).arg(&self.at);
        run(command)
    }

    fn size(&self) -> String {
        format!("size={}m", self.megabytes)
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server that is killed may still be about to close its files.
        Command::new("umount").arg("-l").arg(&self.at).status().ok();
    }
}

/// Unmounts what runs that were killed have left in a folder: theirs end with the id of their process.
pub(crate) fn unmount_left(folder: &Path) -> anyhow::Result<()> {
    for line in std::fs::read_to_string("/proc/self/mounts")?.lines() {
        let Some(at) = line.split(' ').nth(1).map(Path::new) else { continue };
        let Ok(within) = at.strip_prefix(folder) else { continue };
        let run = within.iter().next().and_then(|name| name.to_str()?.rsplit('-').next());
        let is_over = |id: &str| !Path::new("/proc").join(id).exists();
        if run.is_some_and(is_over) {
            Command::new("umount").arg("-l").arg(at).status()?;
        }
    }
    Ok(())
}

fn run(mut command: Command) -> anyhow::Result<()> {
    let output = command.output().context("starting mount")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_nothing_until_there_is_room_again() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let at = folder.path().join("disk");
        let disk = match SmallDisk::mount(&at, 8) {
            Ok(disk) => disk,
            // What is skipped in silence where nobody looks is not tested at all.
            Err(error) if std::env::var_os("CI").is_some() => return Err(error),
            Err(error) => {
                eprintln!("SKIPPED: a tmpfs cannot be mounted here: {error:#}");
                return Ok(());
            }
        };
        std::fs::write(at.join("before"), [1; 100_000])?;
        for file in ["first", "second"] {
            disk.fill()?;
            assert!(std::fs::write(at.join(file), [1; 10_000]).is_err());
            disk.empty()?;
            std::fs::write(at.join(file), [1; 1_000_000])?;
        }
        assert_eq!(std::fs::read(at.join("before"))?, [1; 100_000]);
        Ok(())
    }
}

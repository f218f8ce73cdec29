//! The wall clock of one host, which can be moved: by a small library (`clock.c`) that is loaded into the host, and a file that
//! says by how many seconds. Servers written in Go ask the kernel past any library, so theirs cannot be moved like this.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use daca_tests::folders;

/// The clock of one host.
#[derive(Debug)]
pub(crate) struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

/// Builds the library into a folder, with the C compiler that Rust links with.
pub(crate) fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let library = folder.join("clock.so");
    let source = folders::root().join("tests/chaos/clock.c");
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source);
    let output = command.output().context("cc could not be started")?;
    if !output.status.success() {
        bail!("cc: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(library)
}

impl Clock {
    /// A clock with this name that goes right.
    pub(crate) fn new(library: &Path, name: &str) -> anyhow::Result<Clock> {
        let offset = library.with_file_name(format!("{name}.clock"));
        std::fs::write(&offset, 0_i64.to_ne_bytes())?;
        Ok(Clock { library: library.to_owned(), offset })
    }

    /// What a program that goes by it is started with.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        vec![("LD_PRELOAD".to_owned(), text(&self.library)), ("CHAOS_CLOCK".to_owned(), text(&self.offset))]
    }

    /// Sets it ahead by so many seconds, or back; 0 sets it right.
    pub(crate) fn set(&self, seconds: i64) -> anyhow::Result<()> {
        // The program has the file in its memory, so it must stay the same file, and never be empty.
        let mut file = OpenOptions::new().write(true).open(&self.offset)?;
        Ok(file.write_all(&seconds.to_ne_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds since 1970, as a program sees them.
    fn seen(clock: &Clock) -> anyhow::Result<i64> {
        let mut command = Command::new("date");
        let output = command.arg("+%s").envs(clock.environment()).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }

    #[test]
    fn a_program_sees_the_clock_that_was_set() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let clock = Clock::new(&build(folder.path())?, "host1")?;
        let right = seen(&clock)?;
        clock.set(-3600)?;
        assert!((right - 3600..right - 1800).contains(&seen(&clock)?));
        clock.set(0)?;
        assert!(seen(&clock)? >= right);
        Ok(())
    }
}

//! A stream of frames whose end shows that it is whole. A file that was cut, altered or written by a newer program is
//! recognised before anything in it is used.
//!
//! | part | bytes |
//! |---|---|
//! | head | `daca-backup`, a line feed, and the format (4) |
//! | frame, any number of them | its kind (1, never 0), its length (4), its content |
//! | end | 0 (1), the number of frames (8), the SHA-256 of all bytes before it (32) |
//!
//! Numbers are big-endian. What the kinds mean is up to those who write and read them.

use std::io::{ErrorKind, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::{ErrorCode, Explained, Explanation};

/// How every archive begins.
const MAGIC: &[u8; 12] = b"daca-backup\n";
/// The newest format that this program knows, and the one that it writes.
const FORMAT: u32 = 1;
/// The maximum length of a frame in bytes: more than a component or a value of an actor has.
const MAX_FRAME: usize = 512 * 1024 * 1024;
/// The kind that begins the end.
const END: u8 = 0;

/// Where frames go. The trait hides the kind of output from those who only add to it.
pub trait FrameSink {
    /// Adds a frame. Its content is the parts, one after the other; `kind` is not 0.
    fn frame(&mut self, kind: u8, parts: &[&[u8]]) -> std::io::Result<()>;
}

/// Writes an archive.
pub struct ArchiveWriter<W> {
    output: W,
    digest: Sha256,
    frames: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Writes the head.
    pub fn new(output: W) -> std::io::Result<ArchiveWriter<W>> {
        let mut writer = ArchiveWriter { output, digest: Sha256::new(), frames: 0 };
        writer.put(MAGIC)?;
        writer.put(&FORMAT.to_be_bytes())?;
        Ok(writer)
    }

    /// Writes the end. Without it nobody takes the archive for whole.
    pub fn finish(mut self) -> std::io::Result<()> {
        self.put(&[END])?;
        self.put(&self.frames.to_be_bytes())?;
        self.output.write_all(&self.digest.finalize())?;
        self.output.flush()
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.digest.update(bytes);
        self.output.write_all(bytes)
    }
}

impl<W: Write> FrameSink for ArchiveWriter<W> {
    fn frame(&mut self, kind: u8, parts: &[&[u8]]) -> std::io::Result<()> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let announced = u32::try_from(length).ok().filter(|_| kind != END && length <= MAX_FRAME);
        let announced = announced.ok_or_else(|| {
            std::io::Error::new(ErrorKind::InvalidInput, "a frame has no kind, or is too long")
        })?;
        self.put(&[kind])?;
        self.put(&announced.to_be_bytes())?;
        parts.iter().try_for_each(|part| self.put(part))?;
        self.frames += 1;
        Ok(())
    }
}

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(std::io::Error),
    /// It ends before its end.
    #[error("it is incomplete: it was cut, or never finished")]
    Cut,
    /// A newer program has written it.
    #[error("it has format {0}, and this program knows formats up to {FORMAT}")]
    TooNew(u32),
    /// It is something else, or it was altered.
    #[error("{0}")]
    Damaged(&'static str),
}

impl Explained for ArchiveError {
    fn explanation(&self) -> Option<Explanation<'_>> {
        let (code, help) = match self {
            ArchiveError::Unreadable(_) => (
                ErrorCode::BackupUnreadable,
                "name a file that `daca backup` wrote, and that this user may read",
            ),
            ArchiveError::Cut => (ErrorCode::BackupCut, "take the backup again, or use an earlier one"),
            ArchiveError::TooNew(_) => (
                ErrorCode::BackupTooNew,
                "use a version of daca that is at least as new as the one that wrote it",
            ),
            ArchiveError::Damaged(_) => {
                (ErrorCode::BackupDamaged, "use another copy of it, or another backup")
            }
        };
        Some(Explanation::new(code, help))
    }
}

impl From<std::io::Error> for ArchiveError {
    fn from(error: std::io::Error) -> ArchiveError {
        match error.kind() {
            ErrorKind::UnexpectedEof => ArchiveError::Cut,
            _ => ArchiveError::Unreadable(error),
        }
    }
}

/// A frame that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its kind.
    pub kind: u8,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Reads an archive. Only after the last frame is it certain that the earlier ones are as they were written.
pub struct ArchiveReader<R> {
    input: R,
    digest: Sha256,
    frames: u64,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads the head.
    pub fn new(input: R) -> Result<ArchiveReader<R>, ArchiveError> {
        let mut reader = ArchiveReader { input, digest: Sha256::new(), frames: 0 };
        if reader.take::<12>()? != *MAGIC {
            return Err(ArchiveError::Damaged("it is no backup"));
        }
        match u32::from_be_bytes(reader.take()?) {
            0 => Err(ArchiveError::Damaged("0 is not a valid format")),
            1..=FORMAT => Ok(reader),
            newer => Err(ArchiveError::TooNew(newer)),
        }
    }

    /// Reads the next frame; `None` at the end, when everything has proven to be whole.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ArchiveError> {
        let [kind] = self.take()?;
        if kind == END {
            return self.check_end().map(|()| None);
        }
        let length = u32::from_be_bytes(self.take()?);
        if length as usize > MAX_FRAME {
            return Err(ArchiveError::Damaged("a frame is longer than any that is written"));
        }
        // The memory grows with what is there, and not with what is announced.
        let mut bytes = Vec::new();
        self.input.by_ref().take(length.into()).read_to_end(&mut bytes)?;
        if bytes.len() < length as usize {
            return Err(ArchiveError::Cut);
        }
        self.digest.update(&bytes);
        self.frames += 1;
        Ok(Some(Frame { kind, bytes }))
    }

    fn check_end(&mut self) -> Result<(), ArchiveError> {
        let frames = u64::from_be_bytes(self.take()?);
        let expected = self.digest.clone().finalize();
        let found = self.take::<32>()?;
        if frames != self.frames || found[..] != expected[..] {
            return Err(ArchiveError::Damaged("it was altered: its content does not match its digest"));
        }
        match self.input.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(ArchiveError::Damaged("something follows its end")),
        }
    }

    fn take<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], ArchiveError> {
        let mut bytes = [0; LENGTH];
        self.input.read_exact(&mut bytes)?;
        self.digest.update(bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;

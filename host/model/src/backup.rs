//! What a backup of a host consists of. The backend adds the state, and `daca-deploy` the deployed versions, each as frames
//! of its own kinds; [`daca_base::archive`] is the file around them.

use daca_base::archive::FrameSink;

/// The kinds of frames. Their numbers are in files that outlive a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A value of an actor.
    State = 1,
    /// A registered reminder or timer.
    Wakeup = 2,
    /// A component version, with its signature.
    Version = 3,
    /// The record of an agent type. The versions that it needs come before it.
    Record = 4,
}

impl FrameKind {
    /// The kind of a number; `None` if no format has it.
    pub fn of(number: u8) -> Option<FrameKind> {
        let all = [FrameKind::State, FrameKind::Wakeup, FrameKind::Version, FrameKind::Record];
        all.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// The state of all actors at one instant. While it exists, the store keeps everything that was in it.
pub trait StateSnapshot: Send {
    /// Adds all of it to a backup. Blocks. Fails if the store cannot be read, or the output does not take it.
    fn write(&self, to: &mut dyn FrameSink) -> std::io::Result<()>;
}

/// Adds a text with its length before it.
pub fn put_text(to: &mut Vec<u8>, text: &str) {
    // A longer text would not fit into a frame, which refuses it.
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(text.as_bytes());
}

/// Takes a text that [`put_text`] has added from the beginning of `bytes`; `None` if there is none.
pub fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

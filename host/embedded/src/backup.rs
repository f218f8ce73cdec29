//! The state file in a backup: a row for each value, reminder and timer, and nothing that can be made from those.
//!
//! The rows are read within one transaction, so they are what was committed at one instant, whatever is written
//! meanwhile. As long as it lasts, redb cannot use the pages again that were freed since, and the file grows; whoever
//! takes the backup bounds its time.
//!
//! A row does not depend on the format of the file: type, id and key, each with its length before it, and then the
//! bytes of the file's row. Before those of a reminder or timer comes its kind.

use std::io::Error as IoError;

use redb::{ReadTransaction, ReadableTable};

use super::transaction::{STATE, WAKEUPS};
use daca_base::archive::FrameSink;
use daca_model::backend::WakeupKind;
use daca_model::backup::{FrameKind, StateSnapshot, put_text, take_text};

/// The committed state at one instant.
pub(super) struct Snapshot {
    transaction: ReadTransaction,
}

impl Snapshot {
    pub(super) fn new(transaction: ReadTransaction) -> Snapshot {
        Snapshot { transaction }
    }

    fn write_state(&self, to: &mut dyn FrameSink) -> std::io::Result<()> {
        let table = self.transaction.open_table(STATE).map_err(failed)?;
        for row in table.iter().map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let (agent_type, id, key) = key.value();
            let head = head(None, [agent_type, id, key]);
            to.frame(FrameKind::State as u8, &[&head[..], value.value()])?;
        }
        Ok(())
    }

    fn write_wakeups(&self, to: &mut dyn FrameSink) -> std::io::Result<()> {
        let table = self.transaction.open_table(WAKEUPS).map_err(failed)?;
        for row in table.iter().map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            let (kind, agent_type, id, name) = key.value();
            let head = head(Some(kind), [agent_type, id, name]);
            to.frame(FrameKind::Wakeup as u8, &[&head[..], value.value()])?;
        }
        Ok(())
    }
}

impl StateSnapshot for Snapshot {
    fn write(&self, to: &mut dyn FrameSink) -> std::io::Result<()> {
        self.write_state(to)?;
        self.write_wakeups(to)
    }
}

fn failed(error: impl Into<redb::Error>) -> IoError {
    match error.into() {
        redb::Error::Io(error) => error,
        error => IoError::other(format!("state file: {error}")),
    }
}

fn head(kind: Option<u8>, names: [&str; 3]) -> Vec<u8> {
    let mut head = Vec::from_iter(kind);
    for name in names {
        put_text(&mut head, name);
    }
    head
}

/// A row of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// The kind of a reminder or timer; `None` for a value.
    pub(super) wakeup: Option<WakeupKind>,
    pub(super) agent_type: &'a str,
    pub(super) id: &'a str,
    /// The key of a value, or the name of a reminder or timer.
    pub(super) key: &'a str,
    /// As it is in the file.
    pub(super) value: &'a [u8],
}

impl<'a> Row<'a> {
    /// Reads a frame of the kind `State`, or `Wakeup` if `is_wakeup`; `None` if it is no such row.
    pub(super) fn read(is_wakeup: bool, mut bytes: &'a [u8]) -> Option<Row<'a>> {
        let mut wakeup = None;
        if is_wakeup {
            let (number, rest) = bytes.split_first()?;
            let kinds = [WakeupKind::Reminder, WakeupKind::Timer];
            wakeup = Some(kinds.into_iter().find(|kind| *kind as u8 == *number)?);
            bytes = rest;
        }
        let agent_type = take_text(&mut bytes)?;
        let id = take_text(&mut bytes)?;
        let key = take_text(&mut bytes)?;
        Some(Row { wakeup, agent_type, id, key, value: bytes })
    }
}

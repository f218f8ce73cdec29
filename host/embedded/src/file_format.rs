//! The format of the state file as a whole: a number in a table of its own. A host that is older than the file refuses it
//! at the start, rather than ignore what it does not know.
//!
//! Tables and fields that older hosts may ignore need no new number.

use redb::{ReadableTable as _, TableDefinition, WriteTransaction};

/// The format, under [`KEY`]. A file from before there was a number has the first.
pub(super) const FORMATS: TableDefinition<&str, u32> = TableDefinition::new("format");
/// The key of the only row.
pub(super) const KEY: &str = "state";
/// The newest format that this host knows, and the one that it writes.
pub(super) const FORMAT: u32 = 1;

/// Notes this host's format in a file that has none. Returns that of a newer host, and changes nothing then.
pub(super) fn note(transaction: &WriteTransaction) -> Result<Option<u32>, redb::Error> {
    let mut formats = transaction.open_table(FORMATS)?;
    let found = formats.get(KEY)?.map(|format| format.value());
    if found.is_none() {
        formats.insert(KEY, FORMAT)?;
    }
    Ok(found.filter(|format| *format > FORMAT))
}

//! The tables of the state file, and all of them open together. To open one costs about as much as a small write, so they are opened
//! once for each transaction, not for each turn in it.

use redb::{Table, TableDefinition, WriteTransaction};

/// (agent type, actor id, key) → 8 bytes of expiry in Unix milliseconds (0 = never), then the value.
pub(crate) const STATE: TableDefinition<StateKey<'static>, &[u8]> = TableDefinition::new("state");
/// Bytes of the expiry before each value.
pub(crate) const EXPIRY_BYTES: usize = 8;
/// Key of a row of [`STATE`].
pub(crate) type StateKey<'a> = (&'a str, &'a str, &'a str);
/// (expiry in Unix milliseconds, agent type, actor id, key): the index for purging.
pub(crate) const EXPIRIES: TableDefinition<(u64, &str, &str, &str), ()> = TableDefinition::new("expiries");
/// (reminder or timer, agent type, actor id, name) → [`WakeupRow`](super::WakeupRow) in JSON.
pub(crate) const WAKEUPS: TableDefinition<(u8, &str, &str, &str), &[u8]> = TableDefinition::new("wakeups");
/// (agent type, actor id) → the actor's bytes in the file, each key and registration with [`ENTRY_BYTES`].
pub(crate) const USAGE: TableDefinition<(&str, &str), u64> = TableDefinition::new("usage");
/// Key of a row of [`WAKEUPS`].
pub(crate) type WakeupRowKey<'a> = (u8, &'a str, &'a str, &'a str);

/// The tables within a transaction that writes.
pub(crate) struct Tables<'a> {
    pub(crate) state: Table<'a, StateKey<'static>, &'static [u8]>,
    pub(crate) expiries: Table<'a, (u64, &'static str, &'static str, &'static str), ()>,
    pub(crate) wakeups: Table<'a, WakeupRowKey<'static>, &'static [u8]>,
    pub(crate) usage: Table<'a, (&'static str, &'static str), u64>,
}

impl<'a> Tables<'a> {
    /// Opens all of them, and creates those that are missing.
    pub(crate) fn open(transaction: &'a WriteTransaction) -> Result<Tables<'a>, redb::Error> {
        Ok(Tables {
            state: transaction.open_table(STATE)?,
            expiries: transaction.open_table(EXPIRIES)?,
            wakeups: transaction.open_table(WAKEUPS)?,
            usage: transaction.open_table(USAGE)?,
        })
    }
}

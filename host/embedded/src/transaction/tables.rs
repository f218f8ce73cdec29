//! The tables of the state file, open together. To open one costs about as much as a small write, so they are opened
//! once for each transaction, not for each turn in it.

use redb::{Table, WriteTransaction};

use super::{EXPIRIES, STATE, StateKey, USAGE, WAKEUPS, WakeupRowKey};

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

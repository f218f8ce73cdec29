//! The tables of the state file, and all of them in one transaction. To open one costs about as much as a small write, so
//! they are opened once for each transaction, not for each turn in it, and those that few turns need only when one does.

use std::ops::Range;

use daca_model::ActorAddress;
use daca_model::backend::WakeupKey;
use redb::{Key, Table, TableDefinition, Value, WriteTransaction};

/// (agent type, actor id, key) → 8 bytes of expiry in Unix milliseconds (0 = never), then the value.
pub(crate) const STATE: TableDefinition<StateKey<'static>, &[u8]> = TableDefinition::new("state");
/// Bytes of the expiry before each value.
pub(crate) const EXPIRY_BYTES: usize = 8;
/// Key of a row of [`STATE`].
pub(crate) type StateKey<'a> = (&'a str, &'a str, &'a str);
/// (expiry in Unix milliseconds, agent type, actor id, key): the index for purging.
pub(crate) const EXPIRIES: TableDefinition<ExpiryKey<'static>, ()> = TableDefinition::new("expiries");
/// Key of a row of [`EXPIRIES`].
pub(crate) type ExpiryKey<'a> = (u64, &'a str, &'a str, &'a str);
/// (reminder or timer, agent type, actor id, name) → [`WakeupRow`](super::WakeupRow) in JSON.
pub(crate) const WAKEUPS: TableDefinition<(u8, &str, &str, &str), &[u8]> = TableDefinition::new("wakeups");
/// (agent type, actor id) → the actor's bytes in the file, each key and registration with [`ENTRY_BYTES`].
pub(crate) const USAGE: TableDefinition<(&str, &str), u64> = TableDefinition::new("usage");
/// Key of a row of [`WAKEUPS`].
pub(crate) type WakeupRowKey<'a> = (u8, &'a str, &'a str, &'a str);

/// The tables within a transaction that writes.
pub(crate) struct Tables<'a> {
    pub(crate) state: Table<'a, StateKey<'static>, &'static [u8]>,
    pub(crate) expiries: SeldomTable<'a, ExpiryKey<'static>, ()>,
    pub(crate) wakeups: SeldomTable<'a, WakeupRowKey<'static>, &'static [u8]>,
    pub(crate) usage: Table<'a, (&'static str, &'static str), u64>,
    /// Where a row is put together before it is written: its memory serves all rows of the transaction.
    pub(crate) row: Vec<u8>,
    /// What the values of a turn have replaced.
    pub(super) replaced: ReplacedRows,
}

impl<'a> Tables<'a> {
    /// Opens those that each turn needs. Any that is missing is created when it is opened.
    pub(crate) fn open(transaction: &'a WriteTransaction) -> Result<Tables<'a>, redb::Error> {
        Ok(Tables {
            state: transaction.open_table(STATE)?,
            expiries: SeldomTable { transaction, definition: EXPIRIES, table: None },
            wakeups: SeldomTable { transaction, definition: WAKEUPS, table: None },
            usage: transaction.open_table(USAGE)?,
            row: Vec::new(),
            replaced: ReplacedRows::default(),
        })
    }
}

/// Rows that were replaced, in the order of the keys, in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct ReplacedRows {
    all: Vec<u8>,
    /// Where each of them is in it. `None` if there was none.
    places: Vec<Option<Range<usize>>>,
}

impl ReplacedRows {
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.places.clear();
    }

    pub(super) fn add(&mut self, row: Option<&[u8]>) {
        let begin = self.all.len();
        self.all.extend_from_slice(row.unwrap_or_default());
        self.places.push(row.is_some().then_some(begin..self.all.len()));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.places.iter().map(|place| self.all.get(place.clone()?))
    }
}

/// A table that is opened when it is first needed.
pub(crate) struct SeldomTable<'a, K: Key + 'static, V: Value + 'static> {
    transaction: &'a WriteTransaction,
    definition: TableDefinition<'static, K, V>,
    table: Option<Table<'a, K, V>>,
}

impl<'a, K: Key + 'static, V: Value + 'static> SeldomTable<'a, K, V> {
    /// The table. Opened once.
    pub(crate) fn open(&mut self) -> Result<&mut Table<'a, K, V>, redb::Error> {
        let table = match self.table.take() {
            Some(table) => table,
            None => self.transaction.open_table(self.definition)?,
        };
        Ok(self.table.insert(table))
    }
}

/// The expiry of a row of [`STATE`].
pub(crate) fn expiry_of(row: &[u8]) -> u64 {
    row.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

pub(crate) fn wakeup_key<'a>(actor: &'a ActorAddress, key: &'a WakeupKey) -> WakeupRowKey<'a> {
    (key.kind as u8, &actor.agent_type, &actor.id, &key.name)
}

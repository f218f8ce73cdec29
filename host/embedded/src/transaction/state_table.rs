//! The table of the actors' values.

use redb::TableDefinition;

/// (agent type, actor id, key) → 8 bytes of expiry in Unix milliseconds (0 = never), then the value.
pub(crate) const STATE: TableDefinition<StateKey<'static>, &[u8]> = TableDefinition::new("state");
/// Bytes of the expiry before each value.
pub(crate) const EXPIRY_BYTES: usize = 8;
/// Key of a row of [`STATE`].
pub(crate) type StateKey<'a> = (&'a str, &'a str, &'a str);

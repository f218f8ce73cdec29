//! A table of the manifest in the reference, and its keys.

/// A table of the manifest.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name, as in the page's markers: the path without the user's names, such as `agents.limits`.
    pub name: &'static str,
    /// Its keys, in the order of the page.
    pub keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// The default.
    pub default: KeyDefault,
    /// The meaning, in Markdown.
    pub meaning: &'static str,
}

/// The default of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyDefault {
    /// The key is required.
    Required,
    /// No value.
    None,
    /// A value, as it is written without quotation marks.
    Value(&'static str),
    /// A value that depends on something, as text.
    Words(&'static str),
}

pub(super) const fn key(name: &'static str, default: KeyDefault, meaning: &'static str) -> Key {
    Key { name, default, meaning }
}

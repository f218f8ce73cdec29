//! Whether people or machines read the output of a command.

/// The output format of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For machines: the host's JSON; that of a list has all pages.
    Json,
}

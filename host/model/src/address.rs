//! The name of an actor: agent type and id.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The maximum length of an actor's id in bytes.
const MAX_ID: usize = 256;
/// The maximum length of an agent type's name in bytes.
const MAX_TYPE: usize = 128;

/// An actor's agent type and id. Cheap to clone. Displayed as `TYPE/ID`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorAddress {
    /// The agent type, such as `ChatAgent`.
    pub agent_type: Arc<str>,
    /// The id within the type, such as `user1`.
    pub id: Arc<str>,
}

/// Why a name is not valid for an actor or an agent type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The name is empty.
    #[error("it is empty")]
    Empty,
    /// It is longer than the bound.
    #[error("it has {bytes} bytes; the maximum is {limit}")]
    TooLong {
        /// Bytes of the name.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// It contains a character that is not allowed.
    #[error("it has the character {0:?}, which is not allowed there")]
    Character(char),
    /// It is `.` or `..`, contains `||`, or ends in `|`.
    #[error("{0}")]
    Form(&'static str),
}

impl ActorAddress {
    /// Creates an address after checking both parts.
    pub fn new(agent_type: &str, id: &str) -> Result<ActorAddress, AddressError> {
        check_agent_type(agent_type)?;
        check_actor_id(id)?;
        Ok(ActorAddress::unchecked(agent_type, id))
    }

    /// The same for a type of the manifest, whose name was checked, and is shared by the addresses.
    pub fn of_type(agent_type: &Arc<str>, id: &str) -> Result<ActorAddress, AddressError> {
        check_actor_id(id)?;
        Ok(ActorAddress { agent_type: agent_type.clone(), id: id.into() })
    }

    /// Creates an address from parts that were checked when they were stored.
    pub fn unchecked(agent_type: &str, id: &str) -> ActorAddress {
        ActorAddress { agent_type: agent_type.into(), id: id.into() }
    }
}

impl fmt::Display for ActorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.agent_type, self.id)
    }
}

/// Parses `TYPE/ID`.
impl FromStr for ActorAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<ActorAddress, AddressError> {
        let (agent_type, id) =
            text.split_once('/').ok_or(AddressError::Form("it is not of the form TYPE/ID"))?;
        ActorAddress::new(agent_type, id)
    }
}

/// Checks that this is a valid actor id. Dapr's rule excludes `# ? / \`, control characters, `.` and `..`. Our own rule
/// excludes `||` and an id that ends in `|`, because Dapr joins type, id and state key with `||`, and two actors must
/// never share a key of the store.
pub fn check_actor_id(id: &str) -> Result<(), AddressError> {
    check_length(id, MAX_ID)?;
    if id == "." || id == ".." {
        return Err(AddressError::Form("it is one or two dots, which paths treat as a folder"));
    }
    if id.contains("||") || id.ends_with('|') {
        return Err(AddressError::Form("it has || or ends in |, which separates the parts of a state key"));
    }
    match id.chars().find(|c| matches!(c, '#' | '?' | '/' | '\\') || c.is_control()) {
        Some(character) => Err(AddressError::Character(character)),
        None => Ok(()),
    }
}

/// Checks that this is a valid name of an agent type: letters, digits, `-`, `_` and `.`, but not dots alone. The name
/// appears in paths, in state keys and in the manifest.
pub fn check_agent_type(name: &str) -> Result<(), AddressError> {
    check_length(name, MAX_TYPE)?;
    if name.chars().all(|c| c == '.') {
        return Err(AddressError::Form("it consists of dots, which paths treat as a folder"));
    }
    match name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')) {
        Some(character) => Err(AddressError::Character(character)),
        None => Ok(()),
    }
}

fn check_length(name: &str, limit: usize) -> Result<(), AddressError> {
    match name.len() {
        0 => Err(AddressError::Empty),
        bytes if bytes > limit => Err(AddressError::TooLong { bytes, limit }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two actors must never share a key of the store, whatever their ids and keys are.
    #[test]
    fn ids_that_could_meet_in_one_state_key_are_refused() {
        for id in [
            "a||b",
            "a|",
            "|",
            "",
            ".",
            "..",
            "a/b",
            "a#b",
            "a?b",
            "a\\b",
            "a\nb",
            "a\u{0}b",
            &"x".repeat(257),
        ] {
            assert!(check_actor_id(id).is_err(), "{id:?}");
        }
        for id in ["user1", "|a", "a|b", "ü ñ 漢", "a:b@c%20", "...", &"x".repeat(256)] {
            assert_eq!(check_actor_id(id), Ok(()), "{id:?}");
        }
    }
}

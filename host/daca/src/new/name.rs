//! The name of a new folder, and the names that its agent has because of it.

use super::error::Error;

/// The maximum length in bytes. That of an agent type is twice as long.
const MAX_NAME: usize = 64;

/// A checked name, and what it becomes in the files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The folder: the name as it was given, such as `order-saga`.
    pub(super) folder: String,
    /// The agent type, which is a class or struct, too: `OrderSagaAgent`.
    pub(super) agent_type: String,
    /// The package: `order-saga-agent`.
    package: String,
}

impl Name {
    /// The agent type ends with `Agent`, so that no name in a template or of a language is the same.
    pub(super) fn parse(name: &str) -> Result<Name, Error> {
        if let Some(reason) = mistake(name) {
            return Err(Error::Name { name: name.to_owned(), reason });
        }
        let parts = || name.split(['-', '_']).filter(|part| !part.is_empty());
        let mut agent_type = parts().map(capitalised).collect::<String>();
        let mut package = parts().map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
        if !agent_type.ends_with("Agent") {
            agent_type.push_str("Agent");
            package.push_str("-agent");
        }
        Ok(Name { folder: name.to_owned(), agent_type, package })
    }

    /// A template's text with these names.
    pub(super) fn fill(&self, text: &str) -> String {
        text.replace("AgentName", &self.agent_type)
            .replace("agent-name", &self.package)
            .replace("agent_name", &self.package.replace('-', "_"))
            .replace("folder-name", &self.folder)
    }
}

/// What is wrong with a name: it is to be a folder, an agent type, a class and a package.
fn mistake(name: &str) -> Option<&'static str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.len() > MAX_NAME {
        Some("it is too long")
    } else if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        Some("it does not begin with a letter")
    } else if !name.chars().all(is_part) {
        Some("it has a character that is no letter, no digit, no '-' and no '_'")
    } else {
        None
    }
}

fn capitalised(part: &str) -> String {
    let (first, rest) = part.split_at(part.len().min(1));
    first.to_ascii_uppercase() + rest
}

//! A word of the admin API or of a record that a newer host may say, and an older program does not know.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A word from a list that grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Word<T> {
    /// One of those that this program knows.
    Known(T),
    /// Another one.
    Other(String),
}

impl<T> From<T> for Word<T> {
    fn from(word: T) -> Word<T> {
        Word::Known(word)
    }
}

/// The word as it is on the wire.
impl<T: Serialize> fmt::Display for Word<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::EventKind;

    fn word(text: &str) -> Word<EventKind> {
        let text = serde_json::Value::from(text).to_string();
        daca_base::json::read(text.as_bytes()).expect("every word is read")
    }

    #[test]
    fn a_word_that_this_program_does_not_know_is_kept() {
        assert_eq!(word("rolled-back"), Word::Known(EventKind::RolledBack));
        assert_eq!(word("something-new"), Word::Other("something-new".into()));
        for text in ["rolled-back", "something-new"] {
            assert_eq!(word(text).to_string(), text);
        }
    }
}

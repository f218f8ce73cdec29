//! The name of an author's file, which stacks of a script show.

use std::path::Path;
use std::sync::Arc;

/// The maximum length of a name in bytes.
const MAX: usize = 128;

/// The name of a file without its folders: 1 to 128 bytes without `/`, `\` and control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(Arc<str>);

/// Why a text is not the name of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// Its length.
    #[error("it has {0} bytes, and a file's name has 1 to {MAX}")]
    Length(usize),
    /// It contains a character that is not allowed.
    #[error("it has the character {0:?}, which a file's name has not")]
    Character(char),
}

impl FileName {
    /// A name, after checking it.
    pub fn new(name: &str) -> Result<FileName, FileNameError> {
        if name.is_empty() || name.len() > MAX {
            return Err(FileNameError::Length(name.len()));
        }
        match name.chars().find(|c| matches!(c, '/' | '\\') || c.is_control()) {
            Some(character) => Err(FileNameError::Character(character)),
            None => Ok(FileName(name.into())),
        }
    }

    /// The last part of a path. `None` if a stack could not show it.
    pub fn of_path(path: &Path) -> Option<FileName> {
        FileName::new(path.file_name()?.to_str()?).ok()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_leads_nowhere() {
        for name in ["a", "chat_agent.ts", "ü x.js", &"x".repeat(128)] {
            assert_eq!(FileName::new(name).as_ref().map(FileName::as_str), Ok(name));
        }
        for (name, error) in [
            ("", FileNameError::Length(0)),
            (&"ü".repeat(65), FileNameError::Length(130)),
            ("../a.ts", FileNameError::Character('/')),
            ("a\\b.ts", FileNameError::Character('\\')),
            ("a.ts\nb", FileNameError::Character('\n')),
        ] {
            assert_eq!(FileName::new(name), Err(error), "{name:?}");
        }
    }

    #[test]
    fn of_a_path_the_last_part_counts() {
        let of = |path: &str| FileName::of_path(Path::new(path)).map(|name| name.as_str().to_owned());
        assert_eq!(of("/srv/agents/chat.ts").as_deref(), Some("chat.ts"));
        assert_eq!(of("chat.ts").as_deref(), Some("chat.ts"));
        assert_eq!((of(".."), of("a\u{1b}[31m.ts")), (None, None));
    }
}

//! How long files in Rust and their functions are: short enough that each can be read at once.
//!
//! Functions are found by their lines, as rustfmt makes them: one ends with the first `}` that is indented as it is. Of
//! a function that has such a line within a text, only the lines up to there are counted.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The maximum number of lines of a file.
const MAX_FILE: usize = 400;
/// The maximum number of lines of a function, with its signature.
const MAX_FUNCTION: usize = 60;
/// What may be longer, with the reason: a file, such as `host/a/src/b.rs`, or a function, such as `host/a/src/b.rs: c`.
const EXCEPTIONS: [(&str, &str); 0] = [];
/// What may stand before the `fn` of a function. A `pub` may have a path.
const QUALIFIERS: [&str; 6] = ["default", "const", "async", "unsafe", "extern", "\"C\""];

/// The Rust files in a folder. What is built, installed or hidden is no source.
fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if name == "target" || name == "node_modules" || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// What is too long in a file, and how long it is: the file itself, and functions.
fn too_long(path: &str, text: &str) -> Vec<(String, usize)> {
    let lines = text.lines().collect::<Vec<_>>();
    let mut found = Vec::new();
    if lines.len() > MAX_FILE {
        found.push((path.to_owned(), lines.len()));
    }
    for (at, line) in lines.iter().enumerate() {
        let length = length_of(lines.get(at..).unwrap_or_default());
        if let Some(name) = function_name(line)
            && length > MAX_FUNCTION
        {
            found.push((format!("{path}: {name}"), length));
        }
    }
    found
}

/// The name of the function that begins with a line. `None` if none does.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_start = before.is_empty() || before.ends_with(' ');
    let is_visibility = |word: &str| word.starts_with("pub") || word.ends_with(')');
    let is_before = |word| QUALIFIERS.contains(&word) || is_visibility(word);
    let is_function = is_start && before.split_whitespace().all(is_before);
    after.split(['(', '<']).next().filter(|_| is_function)
}

/// The number of lines of the function that begins with the first of these.
fn length_of(lines: &[&str]) -> usize {
    let Some(first) = lines.first().filter(|line| !line.ends_with(['}', ';'])) else { return 1 };
    let indent = first.len() - first.trim_start().len();
    // A function without a body ends with its signature.
    let is_last = |line: &str| line == "}" || (line.starts_with(')') && line.ends_with(';'));
    let end = lines.iter().position(|&line| {
        let (space, rest) = line.split_at_checked(indent).unwrap_or((line, ""));
        space.trim_start().is_empty() && is_last(rest)
    });
    end.map_or(lines.len(), |at| at + 1)
}

mod tests {
    use super::*;

    #[test]
    fn files_and_functions_are_short() -> anyhow::Result<()> {
        let root = crate::paths::root();
        let files = rust_files(&root)?;
        for known in ["host/runtime/src/lib.rs", "guest/sdk/src/lib.rs", "tests/suite/main.rs"] {
            assert!(files.contains(&root.join(known)), "{known} is found");
        }
        let mut found = Vec::new();
        for file in files {
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            let path = file.strip_prefix(&root)?.display().to_string();
            found.extend(too_long(&path, &text));
        }
        found.retain(|(what, _)| EXCEPTIONS.iter().all(|(exception, _reason)| what != exception));
        assert!(
            found.is_empty(),
            "too long, of at most {MAX_FILE} lines of a file and {MAX_FUNCTION} of a function: {found:?}"
        );
        Ok(())
    }

    /// A text of a line at the beginning, so many in between, and one at the end.
    fn text(first: &str, between: usize, last: &str) -> String {
        format!("{first}\n{}{last}\n", "        x;\n".repeat(between))
    }

    #[test]
    fn a_long_function_is_found_however_it_begins() {
        let c = "    pub const unsafe extern \"C\" fn f() {";
        for first in ["fn f() {", "    pub(in crate::a) async fn f<T>(", c] {
            let indent = first.len() - first.trim_start().len();
            let last = format!("{}}}", " ".repeat(indent));
            assert!(too_long("a.rs", &text(first, 58, &last)).is_empty(), "{first}");
            assert_eq!(too_long("a.rs", &text(first, 59, &last)), [("a.rs: f".to_owned(), 61)], "{first}");
        }
        for other in ["// The fn f() {", "let f: fn () = {", "    fn f();", "fn f() {}"] {
            assert!(too_long("a.rs", &text(other, 100, "}")).is_empty(), "{other}");
        }
        let declared = text("    fn f(", 2, &text("    ) -> u8;", 100, "}"));
        assert!(too_long("a.rs", &declared).is_empty());
    }

    #[test]
    fn a_long_file_is_found() {
        assert!(too_long("a.rs", &"\n".repeat(400)).is_empty());
        assert_eq!(too_long("a.rs", &"\n".repeat(401)), [("a.rs".to_owned(), 401)]);
    }
}

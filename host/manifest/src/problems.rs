//! The problems of a manifest: each has its place in the text, and all of them are collected.

use std::fmt;
use std::path::{Path, PathBuf};

use daca_base::ErrorCode;
use daca_base::explanation::framed;

use super::names::Mistake;

/// What the reader says of a key with too many parts, of which it does not tell the place, and of too many lists and tables
/// in one another.
const TOO_DEEP: [&str; 2] = ["recursion limit", "cannot recurse further"];
/// The levels that the reader takes (`LIMIT` in `src/de/parser/mod.rs` of toml 1.2).
const MAX_DEPTH: usize = 80;

/// One problem of a manifest. Its `Display` is the text for people, with code and help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable code, explained in `docs/errors/`.
    pub code: ErrorCode,
    /// The file.
    pub path: PathBuf,
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { code, path, line, column, message, help } = self;
        let message = format!("{}:{line}:{column}: {message}", path.display());
        f.write_str(&framed("error", code, &message, Some(help)))
    }
}

/// Collects the problems of a manifest.
pub(super) struct Problems<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) found: Vec<Problem>,
}

impl Problems<'_> {
    pub(super) fn push(
        &mut self,
        code: ErrorCode,
        span: std::ops::Range<usize>,
        message: String,
        help: impl FnOnce() -> String,
    ) {
        let (line, column) = self.position(span.start);
        let path = self.path.to_owned();
        self.found.push(Problem { code, path, line, column, message, help: help() });
    }

    /// The mistake of a name or a path, if it has one, at the value with this path of keys.
    pub(super) fn push_name(&mut self, keys: &[&str], checked: Result<(), Mistake>) {
        if let Err((message, help)) = checked {
            let span = self.locate(keys);
            self.push(ErrorCode::ManifestInvalidName, span, message, || help);
        }
    }

    /// An error of TOML or of the file's form.
    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        if TOO_DEEP.iter().any(|words| error.message().starts_with(words)) {
            return self.too_deep(error.span());
        }
        let message = readable(error.message());
        let unknown = message.contains("unknown field");
        let code = if unknown { ErrorCode::ManifestUnknownKey } else { ErrorCode::ManifestSyntax };
        self.push(code, error.span().unwrap_or(0..0), message, || {
            if unknown {
                "remove the key, or write it as one of the expected ones".into()
            } else {
                "see docs/reference/manifest.md for the keys and the form of their values".into()
            }
        });
    }

    fn too_deep(&mut self, span: Option<std::ops::Range<usize>>) {
        let span = span.unwrap_or_else(|| self.line_of_deep_key()..self.text.len());
        let message = format!(
            "a key with too many parts, or tables and lists in one another: {MAX_DEPTH} levels are the maximum"
        );
        self.push(ErrorCode::ManifestSyntax, span, message, || {
            "see docs/reference/manifest.md for the keys: none of them has more than a few levels".into()
        });
    }

    /// The beginning of the first line with a key of too many parts: the first lines up to it are refused for that, and
    /// fewer are not.
    fn line_of_deep_key(&self) -> usize {
        let is_too_deep = |end: usize| {
            let (_, errors) = toml::de::DeTable::parse_recoverable(&self.text[..end]);
            errors.iter().any(|error| error.message().starts_with(TOO_DEEP[0]))
        };
        let ends = self.text.match_indices('\n').map(|(at, _)| at + 1).chain([self.text.len()]);
        let ends = ends.collect::<Vec<_>>();
        let line = ends.partition_point(|end| !is_too_deep(*end));
        let start = line.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
        let indent = self.text[start..].chars().take_while(|c| matches!(c, ' ' | '\t')).count();
        start + indent
    }

    /// The position in the text of the value with this path of keys; that of its table if it is not written.
    pub(super) fn locate(&self, keys: &[&str]) -> std::ops::Range<usize> {
        let Ok(table) = toml::de::DeTable::parse(self.text) else { return 0..0 };
        let Some((last, tables)) = keys.split_last() else { return 0..0 };
        let mut table = table.get_ref();
        for key in tables {
            match table.get(*key).map(toml::Spanned::get_ref) {
                Some(toml::de::DeValue::Table(inner)) => table = inner,
                _ => return 0..0,
            }
        }
        table.get(*last).map_or(0..0, toml::Spanned::span)
    }

    /// Line and column, both counted from 1, of a byte offset.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        (line, column)
    }
}

/// The message of an error of the form, with the names of Rust's types and of the reader's internals put into words.
fn readable(message: &str) -> String {
    const WORDS: [(&str, &str); 5] = [
        (", expected integer overflow", ", expected a size of 0 or more"),
        (", expected parsable string", ", expected a size such as \"64KiB\""),
        (", expected u32", ", expected a whole number from 0 to 4294967295"),
        (", expected u64", ", expected a whole number of 0 or more"),
        (", expected usize", ", expected a whole number of 0 or more"),
    ];
    let found = WORDS.iter().find_map(|(end, words)| Some((message.strip_suffix(end)?, words)));
    found.map_or_else(|| message.to_owned(), |(start, words)| format!("{start}{words}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Manifest;

    #[test]
    fn what_is_nested_too_deeply_is_refused_with_its_place_in_words_of_its_own() {
        let deep = ["a"; MAX_DEPTH + 1].join(".");
        let lists = format!("a = {}1{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
        for (text, place) in [
            (format!("{deep} = 1\n"), (1, 1)),
            (format!("# {deep}\n\n  {deep} = 1\nb = 1"), (3, 3)),
            (format!("a = \"\"\"\n{deep}\n\"\"\"\n[{deep}]\n"), (4, 1)),
            (format!("\n{lists}\n"), (2, "a = ".len() + MAX_DEPTH + 1)),
        ] {
            let mut problems = Problems { path: Path::new("agents.toml"), text: &text, found: Vec::new() };
            assert!(Manifest::read(&mut problems).is_none());
            let [problem] = &problems.found[..] else { panic!("{:?}", problems.found) };
            assert_eq!(
                (problem.code, problem.line, problem.column),
                (ErrorCode::ManifestSyntax, place.0, place.1)
            );
            assert!(problem.message.contains("80 levels are the maximum"), "{problem}");
        }
    }
}

//! `daca explain`: the page of an error code, which is that of the book.

use daca_base::{ErrorCode, Explained, Explanation};

/// The maximum number of codes that a message proposes.
const MAX_NEAR: usize = 3;
/// The maximum number of letters in which a proposed code differs from the given one.
const MAX_WRONG: usize = 3;
/// The bytes of a code that are compared. No code is as long.
const MAX_LEN: usize = 64;

/// No error of this version has the code.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not an error code of this version")]
pub struct Error {
    text: String,
    help: String,
}

impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        Some(Explanation::new(ErrorCode::CodeUnknown, self.help.as_str()))
    }
}

/// The page of a code; without a code, the list of all codes and their classes.
pub fn run(code: Option<&str>) -> Result<String, Error> {
    let Some(text) = code else { return Ok(list()) };
    let found = text.parse::<ErrorCode>();
    found.map(|code| code.page().to_owned()).map_err(|_| unknown(text))
}

fn list() -> String {
    let width = ErrorCode::ALL.iter().map(|code| code.as_str().len()).max().unwrap_or(0);
    ErrorCode::ALL.iter().map(|code| format!("{code:width$}  {}\n", code.class())).collect()
}

fn unknown(text: &str) -> Error {
    let near = near(text);
    let help = match near.is_empty() {
        true => "`daca explain` lists all codes".to_owned(),
        false => format!("did you mean {}? `daca explain` lists all codes", near.join(", ")),
    };
    Error { text: text.to_owned(), help }
}

/// The codes that are written like a text, or contain it, the most similar first.
fn near(text: &str) -> Vec<&'static str> {
    let text = &text[..text.floor_char_boundary(MAX_LEN)];
    let rank = |name: &'static str| (distance(text, name), name);
    let is_near = |(wrong, name): &(usize, &str)| {
        *wrong <= MAX_WRONG || (text.len() > MAX_WRONG && name.contains(text))
    };
    let mut near = ErrorCode::ALL.iter().map(|code| rank(code.as_str())).filter(is_near).collect::<Vec<_>>();
    near.sort_unstable();
    near.into_iter().map(|(_, name)| name).take(MAX_NEAR).collect()
}

/// The bytes that must be inserted, removed or replaced to turn one text into the other.
fn distance(from: &str, to: &str) -> usize {
    // The distances of what was read of `from` to each beginning of `to`.
    let mut row = (0..=to.len()).collect::<Vec<_>>();
    for (number, one) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], number + 1);
        for (column, other) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(one != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_code_gets_the_codes_that_are_written_alike() {
        assert_eq!(near("host-bsy").first(), Some(&"host-busy"));
        assert_eq!(near("Host-Busy").first(), Some(&"host-busy"));
        assert_eq!(near("queue"), ["actor-queue-full"]);
        assert_eq!(near("nothing is called like this"), [""; 0]);
        assert!(near(&"ü".repeat(10_000)).is_empty());
        assert_eq!([distance("", "abc"), distance("abc", "abc"), distance("abcd", "axc")], [3, 0, 2]);
    }
}

//! The beginning of a value, for a line of the log: what will be cut anyway is not written first.

use std::borrow::Cow;

use super::Document;
use super::scan::string;

/// The bytes of the longest escape of one byte: `\u0000`.
const LONGEST_ESCAPE: usize = 6;
/// The bytes of the longest escape of a character: two halves of a surrogate pair.
const LONGEST_PAIR: usize = 2 * LONGEST_ESCAPE;

impl Document {
    /// The text of a string, and anything else in one line. Of a long value it is only the beginning: at least so many
    /// bytes, unless it has much white space, and not many times as many.
    pub fn beginning(&self, bytes: usize) -> String {
        // With the quotation mark, and what is cut off.
        let limit = bytes.saturating_mul(LONGEST_ESCAPE).saturating_add(1 + LONGEST_PAIR);
        if self.0.len() <= limit {
            return self.text().unwrap_or_else(|| self.to_string());
        }
        let cut = Document(self.0.slice(..limit));
        // Not within an escape or a character. If it is no string, none of them is a text.
        let ends = (limit - LONGEST_PAIR..=limit).rev().filter(|_| self.0.starts_with(b"\""));
        let mut texts = ends.filter_map(|end| {
            let token = [&cut.0[..end], b"\""].concat();
            string(&token).map(Cow::into_owned)
        });
        texts.next().unwrap_or_else(|| cut.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(text: &str, bytes: usize) -> String {
        Document::parse(&text.to_owned().into()).expect(text).beginning(bytes)
    }

    #[test]
    fn a_short_value_is_whole() {
        assert_eq!(beginning(r#""a\u0062\ud83d\ude00""#, 100), "ab\u{1f600}");
        assert_eq!(beginning("{ \"a\": [1, null] }", 100), r#"{"a":[1,null]}"#);
        assert_eq!(beginning("7", 0), "7");
    }

    #[test]
    fn of_a_long_value_there_is_enough_and_not_all() {
        for part in
            ["a", "ü", "\u{1f600}", r"\u00fc", r"\ud83d\ude00", r"\\", r#"\""#, r"\u0000", r"\\\u0000ü"]
        {
            let whole = beginning(&format!("\"{}\"", part.repeat(1_000)), usize::MAX);
            for bytes in 20..40 {
                let found = beginning(&format!("\"{}\"", part.repeat(1_000)), bytes);
                assert!(whole.starts_with(&found), "{part} {bytes}: {found}");
                let most = bytes * LONGEST_ESCAPE + LONGEST_PAIR;
                assert!((bytes..=most).contains(&found.len()), "{part} {bytes}: {found}");
            }
        }
        let list = format!("[{}1]", "\"a b\" ,".repeat(1_000));
        let found = beginning(&list, 50);
        assert!((50..=300).contains(&found.len()) && found.starts_with(r#"["a b","a b","#), "{found}");
        let halves = format!("[\"{}\"]", r"\ud83d".repeat(1_000));
        assert!(beginning(&halves, 50).starts_with(r#"["\ud83d\ud83d"#));
        assert!(beginning(&halves[1..halves.len() - 1], 50).starts_with(r#""\ud83d\ud83d"#));
    }
}

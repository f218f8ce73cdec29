//! Finds values in checked text. For other text the functions return some value, and do not fail.

use std::borrow::Cow;
use std::ops::Range;

/// The depth of nested lists and objects.
pub(super) fn depth(text: &[u8]) -> usize {
    let (mut at, mut depth, mut most) = (0, 0_usize, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
        at += 1;
    }
    most
}

/// Returns `true` if they are nested deeper than this.
pub(super) fn is_deeper(text: &[u8], most: usize) -> bool {
    // Nothing is nested deeper than there are beginnings, and to count these takes a small part of the time. Most texts
    // have few.
    let begin = text.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    begin > most && depth(text) > most
}

/// The value of a string.
pub(super) fn string(token: &[u8]) -> Option<Cow<'_, str>> {
    let inner = token.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        #[expect(clippy::disallowed_methods, reason = "a string alone")]
        return serde_json::from_slice::<String>(token).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

pub(super) fn skip_space(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| is_space(**byte)).count()
}

/// The end of the string that begins at a quote.
pub(super) fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// The end of the value that begins here.
pub(super) fn end_of_value(text: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while let Some(byte) = text.get(at) {
        let is_end = match byte {
            b'"' => {
                at = end_of_string(text, at);
                true
            }
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                false
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
                true
            }
            b'}' | b']' | b',' | b':' if depth == 0 => return at,
            byte if depth == 0 && is_space(*byte) => return at,
            _ => {
                at += 1;
                false
            }
        };
        if is_end && depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The fields of an object, in order: the position of the key, with its quotes, and that of the value. Empty for
/// anything else.
pub(super) struct Fields<'a> {
    text: &'a [u8],
    /// Before the next key.
    at: usize,
}

impl Fields<'_> {
    pub(super) fn of(text: &[u8]) -> Fields<'_> {
        let at = if text.first() == Some(&b'{') { 1 } else { text.len() };
        Fields { text, at }
    }
}

impl Iterator for Fields<'_> {
    type Item = (Range<usize>, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = skip_space(self.text, self.at);
        if self.text.get(key) != Some(&b'"') {
            return None;
        }
        let key_end = end_of_string(self.text, key);
        let colon = skip_space(self.text, key_end);
        let value = skip_space(self.text, colon + 1);
        let value_end = end_of_value(self.text, value);
        // Past the comma, or the end of the object.
        self.at = skip_space(self.text, value_end) + 1;
        Some((key..key_end, value.min(value_end)..value_end))
    }
}

/// The items of a list, in order: their positions. Empty for anything else.
pub(super) struct Items<'a> {
    text: &'a [u8],
    /// Before the next item.
    at: usize,
}

impl Items<'_> {
    pub(super) fn of(text: &[u8]) -> Items<'_> {
        let at = if text.first() == Some(&b'[') { 1 } else { text.len() };
        Items { text, at }
    }
}

impl Iterator for Items<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = skip_space(self.text, self.at);
        if matches!(self.text.get(start), None | Some(b']')) {
            return None;
        }
        let end = end_of_value(self.text, start);
        // Past the comma, or the end of the list.
        self.at = skip_space(self.text, end) + 1;
        Some(start..end)
    }
}

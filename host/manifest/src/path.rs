//! The form of a route's path. A path that no request can have is refused: its route would look served, and be dead.
//!
//! Paths are compared as clients send them, without decoding (RFC 3986, section 3.3). So what clients encode, resolve or
//! cut off on their side is refused, and what the router rejects with a panic.

use std::collections::BTreeSet;

/// The form, for the help of an error.
pub(super) const FORM: &str = "write it as \"/fixed/{parameter}\"";

/// The maximum length of a path in bytes. The whole head of a request has 64 KiB.
const MAX_PATH: usize = 1024;

/// The first problem of a path, and what to do.
pub(super) fn problem(path: &str) -> Option<(String, String)> {
    if path.len() > MAX_PATH {
        let message = format!("the path has {} bytes; the maximum is {MAX_PATH}", path.len());
        return Some((message, "write a shorter path".into()));
    }
    if !path.starts_with('/') || path.contains("//") || path.contains("{*") {
        return Some((format!("{path:?} is not a path"), FORM.into()));
    }
    if path.contains("{{") || path.contains("}}") {
        let message = format!("{path:?} matches no request: clients send braces encoded");
        return Some((message, "write a brace as %7B or %7D".into()));
    }
    let of_segment = path.split('/').find_map(|segment| segment_problem(path, segment));
    of_segment.or_else(|| parameter_problem(path)).or_else(|| literal_problem(path))
}

fn segment_problem(path: &str, segment: &str) -> Option<(String, String)> {
    let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
    if matches!(&*decoded, "." | "..") {
        let message = format!("{path:?} matches no request: clients resolve the segment {segment:?}");
        return Some((message, "write the path that it leads to".into()));
    }
    // Both were parameters in axum before 0.8, which refuses them since.
    if segment.starts_with([':', '*']) {
        let message = format!("the segment {segment:?} of {path:?} begins with ':' or '*'");
        return Some((message, "write a parameter as {name}; a segment begins with something else".into()));
    }
    None
}

fn parameter_problem(path: &str) -> Option<(String, String)> {
    let mut names = BTreeSet::new();
    let mut opened = path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let (twice, _) = opened.find(|(name, _)| !names.insert(*name))?;
    let message = format!("{path:?} has the parameter {{{twice}}} twice, and a call gets one value of it");
    Some((message, "give each parameter a name of its own".into()))
}

/// The characters outside of parameters.
fn literal_problem(path: &str) -> Option<(String, String)> {
    let mut is_inside = false;
    for (at, character) in path.char_indices() {
        match character {
            '{' | '}' => is_inside = character == '{',
            _ if is_inside => {}
            '?' | '#' => {
                let message = format!("{path:?} matches no request: a path ends before {character:?}");
                return Some((message, "leave it out, with all that follows".into()));
            }
            '%' => {
                let digits = path.as_bytes().get(at + 1..at + 3).unwrap_or_default();
                if let Some(problem) = encoding_problem(path, digits) {
                    return Some(problem);
                }
            }
            // The URL standard's set for paths, and what cannot stand in a request line at all.
            '"' | '<' | '>' | '`' | '\0'..=' ' | '\x7f'.. => {
                let message = format!("{path:?} matches no request: clients send {character:?} encoded");
                return Some((message, format!("write it as {}", encoded(character))));
            }
            _ => {}
        }
    }
    None
}

/// The problem of the two bytes after a percent sign. Clients never encode the characters that RFC 3986 calls unreserved
/// (section 2.3), and write capital letters (section 2.1).
fn encoding_problem(path: &str, digits: &[u8]) -> Option<(String, String)> {
    let byte = str::from_utf8(digits)
        .ok()
        .filter(|text| text.len() == 2 && text.bytes().all(|it| it.is_ascii_hexdigit()));
    let Some(byte) = byte.and_then(|text| u8::from_str_radix(text, 16).ok()) else {
        let message = format!("a % in {path:?} is not followed by two hexadecimal digits");
        return Some((message, "write the percent sign itself as %25".into()));
    };
    let character = char::from(byte);
    if character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_' | '~') {
        let message = format!("{path:?} matches no request: clients do not encode {character:?}");
        return Some((message, format!("write {character} itself")));
    }
    if digits.iter().any(u8::is_ascii_lowercase) {
        let message = format!("{path:?} matches no request: clients encode with capital letters");
        return Some((message, format!("write %{byte:02X}")));
    }
    None
}

fn encoded(character: char) -> String {
    let mut buffer = [0; 4];
    character.encode_utf8(&mut buffer).bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_no_request_can_have_is_refused() {
        let long = format!("/{}", "x".repeat(MAX_PATH));
        for (path, word) in [
            ("/a?b", "'?'"),
            ("/a#b", "'#'"),
            ("/a b", "%20"),
            ("/ü", "%C3%BC"),
            ("/a\u{7f}", "%7F"),
            ("/<a>", "%3C"),
            ("/a%", "%25"),
            ("/a%zz", "%25"),
            ("/%é", "%25"),
            ("/x%41/{id}", "write A itself"),
            ("/a%7eb", "write ~ itself"),
            ("/%c3%bc", "write %C3"),
            (long.as_str(), "1025 bytes"),
            ("/..", "resolve"),
            ("/a/./b", "resolve"),
            ("/a/.%2E", "resolve"),
            ("/{a}/{a}", "twice"),
            ("/{{a}}", "%7B"),
            ("/:id", "begins with"),
            ("/*", "begins with"),
            ("a", "not a path"),
            ("/a//b", "not a path"),
            ("/{*rest}", "not a path"),
        ] {
            let found = problem(path).map(|(message, help)| format!("{message}; {help}"));
            let is_said = found.as_ref().is_some_and(|text| text.contains(word) && text.len() < MAX_PATH);
            assert!(is_said, "{path:?}: {found:?}");
        }
        for path in
            ["/", "/a", "/a/{b}", "/a-{b}/{c}/", "/a%20b", "/%C3%BC", "/a.b", "/...", "/a:b@c!$&'()*+,;=~_|"]
        {
            assert_eq!(problem(path), None, "{path:?}");
        }
    }
}

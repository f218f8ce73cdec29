//! Checks that docs/errors.md explains every error code of the host, and none that is gone.
//!
//! A code is a contract with whoever reads it in a program, so its explanation must not be forgotten. The codes are read
//! from the host's sources: from every form in which the house writes one down.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cargo::root;

#[test]
fn every_error_code_is_explained_and_no_other() -> anyhow::Result<()> {
    let mut used = BTreeSet::new();
    collect_from(&root().join("host"), &mut used)?;
    let page = std::fs::read_to_string(root().join("docs/errors.md"))?;
    let headings = page.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned);
    let headings = headings.collect::<Vec<_>>();
    let explained = headings.iter().cloned().collect::<BTreeSet<_>>();

    let missing = used.difference(&explained).collect::<Vec<_>>();
    assert!(missing.is_empty(), "docs/errors.md has no heading ### for {missing:?}, which the host uses");
    let gone = explained.difference(&used).collect::<Vec<_>>();
    assert!(gone.is_empty(), "docs/errors.md explains {gone:?}, which the host does not use");
    let sorted = explained.into_iter().collect::<Vec<_>>();
    assert_eq!(headings, sorted, "the headings of docs/errors.md are in alphabetical order, each once");
    Ok(())
}

/// The test above would pass if nothing were found: here is what must be.
#[test]
fn a_code_is_found_in_every_form() {
    let source = r#"
        impl Error {
            pub fn code(&self) -> &'static str {
                match self { Error::A { .. } => "a-in-match", Error::B => "b" }
            }
            fn noun() -> &'static str { match 1 { 1 => "not-a-code" } }
        }
        tracing::warn!(path, code = "c-in-log", "text");
        HttpError::new(
            StatusCode::NOT_FOUND,
            "d-in-answer",
            "text",
        );
        HttpError::bad_request("e-in-answer", "text");
        HttpError { status, code: "f-in-answer", detail };
        HttpError::new(error.status(), error.code(), "text");
        #[error("error[g-in-text]: {reason} error[{code}]")]
        problems.push("manifest-h", span);
        Err(("component-i", message, "help"));
        Error::new(
            "j-in-deploying",
            StatusCode::CONFLICT,
        );
    "#;
    let mut found = BTreeSet::new();
    collect(source, &mut found);
    let expected = [
        "a-in-match",
        "b",
        "c-in-log",
        "component-i",
        "d-in-answer",
        "e-in-answer",
        "f-in-answer",
        "g-in-text",
        "j-in-deploying",
        "manifest-h",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
}

fn collect_from(folder: &Path, codes: &mut BTreeSet<String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_from(&path, codes)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            collect(&std::fs::read_to_string(path)?, codes);
        }
    }
    Ok(())
}

/// Finds the codes in a source file. Without its white space, it does not matter how a line was broken.
fn collect(source: &str, codes: &mut BTreeSet<String>) {
    let source = source.split_whitespace().collect::<String>();
    // In a text, in a log line, in a struct, in the call of a constructor.
    for before in ["error[", "code=\"", "code:\"", "bad_request(\"", "Error::new(\""] {
        codes.extend(after(&source, before).filter_map(code_at_start));
    }
    // After the status, which may be a path but no call.
    let arguments = after(&source, "HttpError::new(").filter_map(|rest| rest.split_once('"'));
    let arguments = arguments.filter(|(status, _)| !status.contains(['(', ')']));
    codes.extend(arguments.filter_map(|(_, rest)| code_at_start(rest)));
    // In the match that gives each case its code; `}}` ends the match and its function.
    for body in after(&source, "fncode(&self)") {
        let body = body.split_once("}}").map_or(body, |(body, _)| body);
        codes.extend(after(body, "=>\"").filter_map(code_at_start));
    }
    // What is wrong with a manifest or a component says so in its code, wherever it stands.
    for prefix in ["manifest-", "component-"] {
        let literals = after(&source, "\"").filter(|rest| rest.starts_with(prefix));
        codes.extend(literals.filter_map(code_at_start));
    }
}

/// What follows each place in which a text stands.
fn after<'a>(source: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    source.match_indices(before).map(|(at, _)| &source[at + before.len()..])
}

/// The code that a text begins with: lower-case words with hyphens between them, up to a quote or a bracket.
fn code_at_start(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '-')?;
    let is_code = end > 0 && text[end..].starts_with(['"', ']']);
    is_code.then(|| text[..end].to_owned())
}

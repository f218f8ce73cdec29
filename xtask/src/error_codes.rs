//! Every error code of the host has a heading in `docs/errors.md`, and every heading there is a code of the host.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, bail};

/// Where each code stands in the host's sources: after one of these, in quotes or, for the first, in brackets.
const MARKS: [&str; 7] =
    ["error[", "code = \"", "bad_request(\"", "refuse(\"", "=> \"", "problems.push(\"", "(\"component-"];

/// Compares the two. Run from the workspace's root.
pub(crate) fn check() -> anyhow::Result<()> {
    let documented =
        documented(&std::fs::read_to_string("docs/errors.md").context("reading docs/errors.md")?);
    let mut sources = String::new();
    read_sources(Path::new("host/src"), &mut sources)?;
    let missing = used(&sources).difference(&documented).cloned().collect::<Vec<_>>();
    let gone =
        documented.iter().filter(|code| !sources.contains(&format!("{code}"))).cloned().collect::<Vec<_>>();
    if !missing.is_empty() || !gone.is_empty() {
        bail!("docs/errors.md: without a heading: {missing:?}; with a heading but not in host/src: {gone:?}");
    }
    Ok(())
}

fn documented(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|code| code.trim_matches('`').to_owned())
        .collect()
}

/// Strings that look like codes, at the places where codes stand.
fn used(sources: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for mark in MARKS {
        for (position, _) in sources.match_indices(mark) {
            let start =
                position + mark.len() - if mark.ends_with("component-") { "component-".len() } else { 0 };
            let code = sources[start..].split(['"', ']']).next().unwrap_or_default();
            let looks_like_one =
                code.contains('-') && code.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            if looks_like_one {
                codes.insert(code.to_owned());
            }
        }
    }
    codes
}

fn read_sources(folder: &Path, text: &mut String) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_sources(&path, text)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

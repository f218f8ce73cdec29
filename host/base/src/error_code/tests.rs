//! The pages of the codes, their index and the book's summary are what the table says.
//!
//! `DACA_WRITE_REFERENCE=1 cargo test -p daca-base error_code` updates the index and the summary.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::ErrorCode;

/// The line of the summary below which the pages are listed, and how each of their lines begins.
const IN_SUMMARY: &str = "- [Error codes](errors.md)\n";
const BELOW: &str = "  - [";

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Fails if a page is not as the table says, or updates it on request.
fn check(name: &str, wanted: impl FnOnce(&str) -> anyhow::Result<String>) -> anyhow::Result<()> {
    let path = book().join(name);
    let page = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let wanted = wanted(&page)?;
    if std::env::var_os("DACA_WRITE_REFERENCE").is_some() {
        return Ok(std::fs::write(&path, wanted)?);
    }
    anyhow::ensure!(
        page == wanted,
        "docs/{name} is stale; write it with: DACA_WRITE_REFERENCE=1 cargo test -p daca-base error_code"
    );
    Ok(())
}

#[test]
fn the_index_lists_every_code_with_its_class() -> anyhow::Result<()> {
    check("errors.md", |page| {
        let (begin, end) = ("<!-- codes -->\n", "<!-- end of codes -->");
        let (before, rest) = page.split_once(begin).with_context(|| format!("no {begin}"))?;
        let (_, after) = rest.split_once(end).with_context(|| format!("no {end}"))?;
        let rows =
            ErrorCode::ALL.iter().map(|code| format!("| [{code}](errors/{code}.md) | {} |\n", code.class()));
        Ok(format!("{before}{begin}| code | class |\n|---|---|\n{}{end}{after}", rows.collect::<String>()))
    })
}

#[test]
fn the_summary_lists_every_page() -> anyhow::Result<()> {
    check("SUMMARY.md", |page| {
        let (before, rest) = page.split_once(IN_SUMMARY).with_context(|| format!("no {IN_SUMMARY}"))?;
        let after = rest.split_inclusive('\n').skip_while(|line| line.starts_with(BELOW));
        let rows = ErrorCode::ALL.iter().map(|code| format!("{BELOW}{code}](errors/{code}.md)\n"));
        Ok(format!("{before}{IN_SUMMARY}{}{}", rows.collect::<String>(), after.collect::<String>()))
    })
}

#[test]
fn every_page_is_of_a_code_and_has_its_title() -> anyhow::Result<()> {
    for code in ErrorCode::ALL {
        let body = code.page().strip_prefix(&format!("# {code}\n\n"));
        assert!(body.is_some_and(|body| !body.trim().is_empty()), "docs/errors/{code}.md begins: # {code}");
    }
    let known = ErrorCode::ALL.iter().map(|code| format!("{code}.md")).collect::<BTreeSet<_>>();
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(book().join("errors"))? {
        found.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    assert_eq!(found, known, "pages, and codes of the table");
    Ok(())
}

#[test]
fn the_table_is_in_alphabetical_order_without_doubles() {
    let names = ErrorCode::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>();
    assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    let is_named_well = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    assert!(names.iter().all(is_named_well), "{names:?}");
}

/// Redelivery of events and of deployments depends on it.
#[test]
fn what_would_fail_again_is_not_retryable() {
    use ErrorCode::*;
    for code in [
        HostBusy,
        NotApplied,
        ActorQueueFull,
        GuestTrapped,
        TurnTimeExceeded,
        DeployConflict,
        VersionsUnwritable,
    ] {
        assert!(code.is_retryable(), "{code}");
    }
    for code in [
        Invalid,
        BackendRefused,
        CallChainTooDeep,
        ReplyTooLarge,
        StateTotalExceeded,
        TrialFailed,
        TooManyPins,
    ] {
        assert!(!code.is_retryable(), "{code}");
    }
}

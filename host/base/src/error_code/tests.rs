//! The pages of the codes are what the table says. Their index and the book's summary are generated, which a test of the
//! program keeps (`daca/src/reference.rs`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::ErrorCode;

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
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

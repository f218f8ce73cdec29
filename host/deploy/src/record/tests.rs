use super::apply::MAX_HISTORY;
use super::*;
use daca_base::ErrorCode;

fn origin() -> Origin {
    Origin { source: Source::Api, initiated_by: "tester".into() }
}

fn metadata(label: &str, migrates: bool) -> VersionMetadata {
    VersionMetadata {
        label: label.to_owned(),
        bytes: 1,
        deployed_at: now(),
        source: Source::Manifest.into(),
        initiated_by: "tester".into(),
        migrates,
        last_revision: 1,
        file: None,
        unknown: UnknownFields::default(),
    }
}

fn record() -> Record {
    Record::first("v1".into(), metadata("1", false), None, &origin())
}

fn deploy(version: &str, share: u8) -> Change {
    deploy_labelled(version, version, false, share)
}

fn deploy_labelled(version: &str, label: &str, migrates: bool, share: u8) -> Change {
    let (version, label) = (version.to_owned(), label.to_owned());
    Change::Deploy { version, label, bytes: 1, migrates, share, file: None }
}

fn roll_back(force: bool) -> Change {
    Change::RollBack { force, text: String::new(), only: None }
}

#[test]
fn rollbacks_go_back_one_version_after_the_other() {
    let mut record = record();
    for version in ["v2", "v3"] {
        record.apply(deploy(version, 100), &origin()).expect("it is deployed");
    }
    for version in ["v2", "v1"] {
        record.apply(roll_back(false), &origin()).expect("there is one before");
        assert_eq!(record.serving, version);
    }
    let error = record.apply(roll_back(false), &origin()).expect_err("there is none before");
    assert_eq!(error.code, ErrorCode::NothingToRollBack);
    assert_eq!(record.revision, 5);
}

/// The commands take digits in capitals.
#[test]
fn a_version_is_found_by_its_first_digits_in_capitals_as_well() {
    let mut record = record();
    record.apply(deploy("3f2a91bc", 100), &origin()).expect("it is deployed");
    for digits in ["3f2a", "3F2A91BC"] {
        assert_eq!(record.find(digits).expect("it is one"), Some("3f2a91bc".to_owned()), "{digits}");
    }
    assert_eq!(record.find("3F2B").expect("it is none"), None);
}

/// A store and a sidecar take a value of some size, and a record that they do not take can never be changed again.
#[test]
fn the_longest_refusals_leave_a_record_that_can_be_stored() {
    let mut record = record();
    for text in ["x", "\n", "\"", "\u{202e}", "ü"] {
        for _ in 0..MAX_HISTORY {
            let (version, text) = ("f".repeat(64), text.repeat(1024 * 1024));
            let change = Change::Refuse { version, code: ErrorCode::ScriptInvalid, text };
            let origin = Origin { source: Source::Api, initiated_by: "i".repeat(1024 * 1024) };
            record.apply(change, &origin).expect("it is recorded");
        }
        let stored = serde_json::to_vec(&record).expect("it is JSON");
        assert!(stored.len() < 256 * 1024, "{text:?}: {} bytes", stored.len());
        let event = record.history.back().expect("it is remembered");
        assert!(!event.text.contains(char::is_control) && event.text.ends_with('…'), "{}", event.text);
    }
    record.apply(deploy("v2", 100), &origin()).expect("it is deployed");
}

/// Others can write the store, too.
#[test]
fn a_name_that_is_none_is_kept_and_not_shown() {
    let mut metadata = metadata("1", false);
    metadata.file = Some("a/b\n".into());
    let record = Record::first("v1".into(), metadata, None, &origin());
    assert_eq!((record.file_of("v1"), record.file_of("v2")), (None, None));
    let text = serde_json::to_string(&record).expect("it is written");
    assert!(text.contains(r#""file":"a/b\n""#), "{text}");
}

#[test]
fn a_canary_is_stepped_up_promoted_or_taken_back_alone() {
    let mut record = record();
    for share in [10, 50] {
        let changed = record.apply(deploy("v2", share), &origin()).expect("it is deployed");
        assert_eq!((changed.outcome, record.serving.as_str()), (EventKind::Canary, "v1"));
    }
    record.apply(roll_back(false), &origin()).expect("the canary ends");
    assert_eq!((record.serving.as_str(), record.canary.is_none()), ("v1", true));
    assert!(record.previous.is_empty());
    record.apply(deploy("v2", 10), &origin()).expect("it is deployed");
    assert_eq!(record.apply(deploy("v2", 100), &origin()).expect("it is").outcome, EventKind::Promoted);
    assert_eq!((record.serving.as_str(), record.previous.as_slice()), ("v2", &["v1".to_owned()][..]));
    let again = record.apply(deploy("v2", 100), &origin()).expect("nothing happens");
    assert_eq!(again.outcome, EventKind::Unchanged);
}

#[test]
fn a_rollback_that_would_leave_migrated_state_unreadable_must_be_forced() {
    let mut record = record();
    let migrating = deploy_labelled("v2", "2", true, 100);
    record.apply(migrating, &origin()).expect("it is deployed");
    assert_eq!(record.first_label.as_deref(), Some("1"));
    let before = record.clone();
    let error = record.apply(roll_back(false), &origin()).expect_err("it is refused");
    assert_eq!((error.code, &record), (ErrorCode::RollbackLosesShape, &before));
    record.apply(roll_back(true), &origin()).expect("it was forced");
    assert_eq!(record.serving, "v1");
}

#[test]
fn a_version_that_cannot_read_migrated_state_is_refused_unless_it_is_said_to() {
    let mut record = record();
    let deploy = |version, label, migrates| deploy_labelled(version, label, migrates, 10);
    record.apply(deploy("v2", "2", true), &origin()).expect("it is deployed");
    let error = record.apply(deploy("v3", "3", false), &origin()).expect_err("it is refused");
    assert_eq!(error.code, ErrorCode::ComponentLacksMigration, "a canary has migrated state, too");
    let promote = deploy_labelled("v2", "2", true, 100);
    record.apply(promote, &origin()).expect("it is deployed");
    let error = record.apply(deploy("v3", "3", false), &origin()).expect_err("it is refused");
    assert_eq!(error.code, ErrorCode::ComponentLacksMigration);
    record.apply(deploy("v3", "2", false), &origin()).expect("it says that it reads that schema");
    record.apply(deploy("v4", "4", true), &origin()).expect("it migrates itself");
}

#[test]
fn state_stays_migrated_however_many_versions_serve_after_the_one_that_has_migrated_it() {
    let mut record = record();
    let deploy = |version, label, migrates| deploy_labelled(version, label, migrates, 100);
    record.apply(deploy("v2", "2", true), &origin()).expect("it is deployed");
    record.apply(deploy("v3", "2", false), &origin()).expect("it says that it reads that schema");
    let pin = Change::Pin { actor: "user1".into(), version: "v1".into() };
    for change in [deploy("v4", "4", false), pin] {
        let error = record.apply(change, &origin()).expect_err("it is refused");
        assert_eq!(error.code, ErrorCode::ComponentLacksMigration);
    }
    record.apply(roll_back(false), &origin()).expect("v2 migrates");
    let error = record.apply(roll_back(false), &origin()).expect_err("v1 does not");
    assert_eq!(error.code, ErrorCode::RollbackLosesShape);
    record.apply(roll_back(true), &origin()).expect("it was forced");
    let error = record.apply(deploy("v4", "4", false), &origin()).expect_err("it is refused");
    assert_eq!(error.code, ErrorCode::ComponentLacksMigration, "v2 is gone, and the state is as it left it");
    record.apply(deploy("v1", "1", false), &origin()).expect("it serves already");
}

#[test]
fn old_versions_go_and_what_serves_or_may_serve_next_stays() {
    let mut record = record();
    record
        .apply(Change::Pin { actor: "user1".into(), version: "v1".into() }, &origin())
        .expect("it is known");
    for number in 2..=9 {
        record.apply(deploy(&format!("v{number}"), 100), &origin()).expect("it is deployed");
    }
    record.apply(deploy("v10", 5), &origin()).expect("it is deployed");
    assert_eq!(record.prune(5), 5);
    let kept = record.versions.keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(kept, ["v1", "v10", "v7", "v8", "v9"]);
    assert_eq!(record.prune(2), 1, "the pinned one, the canary, the serving one and the one before stay");
}

#[test]
fn a_record_from_before_there_was_a_number_has_the_first_format() {
    let mut record = record();
    record.serving = "a".repeat(64);
    record.versions = BTreeMap::from([("a".repeat(64), metadata("1", false))]);
    let text = serde_json::to_string(&record).expect("it is JSON");
    let number = r#""format":1,"#;
    assert!(text.contains(number), "{text}");
    assert_eq!(read(text.replace(number, "").as_bytes()), Ok(record));
}

/// Others can write the store, too, and labels are in lines of the log.
#[test]
fn a_record_with_a_label_that_no_host_gives_is_refused() {
    let digest = "a".repeat(64);
    let first = Record::first(digest.clone(), metadata("1", false), None, &origin());
    let label = |label: &str| {
        let in_versions =
            Record { versions: BTreeMap::from([(digest.clone(), metadata(label, false))]), ..first.clone() };
        let in_schemas = Record { schemas: BTreeSet::from([label.to_owned()]), ..first.clone() };
        let as_first = Record { first_label: Some(label.to_owned()), ..first.clone() };
        [in_versions, in_schemas, as_first]
    };
    let is_read = |record: &Record| read(&serde_json::to_vec(record).expect("it is JSON")).is_ok();
    for good in ["1", "of the ä", &"x".repeat(64)] {
        assert!(label(good).iter().all(is_read), "{good:?}");
    }
    for bad in ["1\n2026-01-01T00:00:00Z  INFO daca: forged", "\u{1b}[2J", &"x".repeat(65)] {
        assert!(!label(bad).iter().any(is_read), "{bad:?}");
    }
}

#[test]
fn a_record_of_a_newer_format_is_recognised_whatever_else_it_has() {
    assert_eq!(read(br#"{"format":2,"serving":["in another form"]}"#), Err(ReadError::TooNew(2)));
    let local = read_local(br#"{"record":{"format":7},"file-here":{}}"#);
    assert_eq!(local.err(), Some(ReadError::TooNew(7)));
    assert!(matches!(read(br#"{"format":0}"#), Err(ReadError::Damaged(_))));
    assert!(matches!(read(b"{"), Err(ReadError::Damaged(_))));
}

#[test]
fn the_stored_names_are_those_that_hosts_have_written_so_far() {
    let mut record = record();
    record.apply(deploy("v2", 100), &origin()).expect("it is deployed");
    let json = serde_json::to_value(&record).expect("it is JSON");
    let keys = |value: &serde_json::Value| {
        value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
    };
    let all = [
        "format",
        "revision",
        "serving",
        "before",
        "canary",
        "pins",
        "file",
        "first-label",
        "shapes",
        "versions",
        "history",
    ];
    assert_eq!(keys(&json), all);
    assert_eq!(
        keys(&json["versions"]["v1"]),
        ["label", "bytes", "since", "source", "by", "migrates", "used"]
    );
    assert_eq!(keys(&json["history"][1]), ["at", "what", "version", "source", "by"]);
}

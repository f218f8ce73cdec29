use std::sync::Arc;

use daca_model::backend::{StateWrite, StoredAs, TurnCommit};
use redb::backends::InMemoryBackend;

use super::*;

const NOW: u64 = 1_000_000_000;
const HOUR: u64 = 3_600_000;

fn row(due: u64, period: Option<u64>, ttl: Option<u64>) -> WakeupRow {
    let registration = Registration {
        due: Duration::from_millis(due),
        period: period.map(Duration::from_millis),
        ttl: ttl.map(Duration::from_millis),
        data: Bytes::new(),
    };
    WakeupRow::new(&registration, NOW, 1)
}

/// A host that starts an hour before what it wrote, because its clock was set back meanwhile.
#[test]
fn nothing_is_further_away_than_was_asked_for() {
    let earlier = NOW - HOUR;
    assert_eq!(row(20_000, None, None).due(earlier).at, earlier + 20_000);
    assert_eq!(row(0, Some(1_000), None).due(earlier).at, earlier);
    let periodic = row(20_000, Some(1_000), Some(60_000)).after_firing(NOW + 20_000).expect("it goes on");
    assert_eq!(periodic.due(NOW + 20_000).at, NOW + 21_000);
    assert_eq!(periodic.due(earlier).at, earlier + 1_000);
    let (token, at) = (periodic.token(), earlier + 1_000);
    let next = periodic.after_firing(at).expect("it goes on");
    assert_eq!((next.due(at).at, next.ends_unix_ms), (at + 1_000, Some(at + 60_000)));
    assert_ne!(next.token(), token);
    assert_eq!(row(20_000, None, None).due(NOW + HOUR).at, NOW + 20_000, "what was missed is due");
}

#[test]
fn times_that_are_too_long_are_never() {
    let longest = row(u64::MAX, Some(u64::MAX), Some(u64::MAX));
    assert_eq!(longest.due(NOW).at, u64::MAX);
    let next = longest.after_firing(u64::MAX).expect("it goes on");
    assert_eq!(next.due(u64::MAX).at, u64::MAX);
    let short = row(0, Some(0), None).after_firing(u64::MAX).expect("it goes on");
    assert_eq!(short.due(u64::MAX).at, u64::MAX);
    let value = decode_value(&[&u64::MAX.to_le_bytes()[..], b"v"].concat(), NOW).expect("it is there");
    assert_eq!(&value.value[..], b"v");
}

/// A guest can give names that begin with that of the host's reminder.
#[test]
fn of_all_reminders_and_timers_only_that_of_the_host_is_free() {
    let memory = redb::backends::InMemoryBackend::new();
    let database = Database::builder().create_with_backend(memory).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    let mut tables = Tables::open(&transaction).expect("the tables");
    let actor = ActorAddress::unchecked("A", "a");
    let tiny = Quota { actor_bytes: 1, ..Quota::UNLIMITED };
    let mut is_free = |kind: WakeupKind, name: &str| {
        let registration = Registration { due: Duration::ZERO, period: None, ttl: None, data: Bytes::new() };
        let key = WakeupKey { kind, name: name.to_owned() };
        let wakeups = [(key, Some(registration))].into();
        let commit = daca_model::backend::TurnCommit { wakeups, ..Default::default() };
        let applied = apply(&mut tables, &actor, &LastingParts(commit.into()), tiny, NOW, &mut 0);
        applied.expect("the tables are read").is_ok()
    };
    assert!(is_free(WakeupKind::Reminder, EFFECTS));
    assert!(!is_free(WakeupKind::Reminder, "daca:effects2"));
    assert!(!is_free(WakeupKind::Timer, EFFECTS));
}

#[test]
fn a_turn_that_knows_another_value_than_the_stored_one_is_not_applied() {
    let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    let mut tables = Tables::open(&transaction).expect("the tables");
    let actor = ActorAddress::new("A", "a").expect("an address");
    let mut is_applied = |known: Option<&'static str>, value: &'static str| {
        let set = StateWrite::Set { value: value.into(), ttl: None };
        let unchanged = Some(StoredAs { key: "k".to_owned(), value: known.map(Bytes::from) });
        let commit =
            TurnCommit { writes: [("k".to_owned(), set)].into(), unchanged, ..TurnCommit::default() };
        let turn = LastingParts(commit.into());
        apply(&mut tables, &actor, &turn, Quota::UNLIMITED, NOW, &mut 0).expect("the tables").is_ok()
    };
    for (known, value, expected) in
        [(None, "1", true), (None, "2", false), (Some("1"), "2", true), (Some("1"), "3", false)]
    {
        assert_eq!(is_applied(known, value), expected, "{known:?} {value}");
    }
}

/// The values, the index of expiries, and the usage.
fn rows(tables: &mut Tables<'_>) -> Result<Vec<String>, redb::Error> {
    let mut rows = Vec::new();
    for row in tables.state.iter()? {
        let (key, value) = row?;
        rows.push(format!("{:?} {:?}", key.value(), value.value()));
    }
    for row in tables.expiries.open()?.iter()? {
        rows.push(format!("{:?}", row?.0.value()));
    }
    for row in tables.usage.iter()? {
        let (key, bytes) = row?;
        rows.push(format!("{:?} {}", key.value(), bytes.value()));
    }
    Ok(rows)
}

#[test]
fn of_a_turn_that_is_refused_nothing_is_left() {
    let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    let mut tables = Tables::open(&transaction).expect("the tables");
    let actor = ActorAddress::new("A", "a").expect("an address");
    let set = |value: &str, ttl: Option<u64>| StateWrite::Set {
        value: Bytes::from(value.to_owned()),
        ttl: ttl.map(Duration::from_millis),
    };
    let turn = |writes: [(&str, StateWrite); 3]| {
        let writes = writes.into_iter().map(|(key, write)| (key.to_owned(), write)).collect();
        LastingParts(Arc::new(TurnCommit { writes, ..TurnCommit::default() }))
    };
    let first = turn([("a", set("1", None)), ("b", set("22", Some(HOUR))), ("c", StateWrite::Delete)]);
    let applied = apply(&mut tables, &actor, &first, Quota::UNLIMITED, NOW, &mut 0).expect("the tables");
    assert!(applied.is_ok());
    let before = rows(&mut tables).expect("they are read");
    let long = "x".repeat(1_000);
    let second = turn([("a", StateWrite::Delete), ("b", set(&long, None)), ("c", set("3", Some(HOUR)))]);
    let unlimited = Quota::UNLIMITED;
    for quota in [
        Quota { actor_bytes: 500, ..unlimited },
        Quota { type_bytes: 500, ..unlimited },
        Quota { host_bytes: 500, ..unlimited },
    ] {
        let applied = apply(&mut tables, &actor, &second, quota, NOW, &mut 0).expect("the tables");
        assert!(applied.is_err());
        assert_eq!(rows(&mut tables).expect("they are read"), before);
    }
    let applied = apply(&mut tables, &actor, &second, Quota::UNLIMITED, NOW, &mut 0).expect("the tables");
    let Applied { added, freed, .. } = applied.expect("it is applied");
    assert_eq!((added, freed), (2 * 64 + 2 + 1_000 + 1, 2 * 64 + 2 + 1 + 2));
    assert_eq!(rows(&mut tables).expect("they are read").len(), 2 + 1 + 1);
}

/// Rows of a reminder, a timer and two values as the release before writes them.
#[test]
fn rows_of_the_release_before_are_read_and_written_as_they_were() {
    let text = include_str!("../../tests/stored/ec781bc/reminder.json").trim_end();
    let row = WakeupRow::decode(text.as_bytes()).expect("it is read");
    assert_eq!(row.encode().expect("it is written"), text.as_bytes());
    let (reminder, due) = row.into_registration(1_764_410_400_000).expect("it is read");
    assert_eq!((reminder.period, &reminder.data[..]), (Some(Duration::from_secs(60)), &b"hello"[..]));
    assert_eq!(due.at, 1_764_410_460_000);
    let text = include_str!("../../tests/stored/ec781bc/timer.json").trim_end();
    let row = WakeupRow::decode(text.as_bytes()).expect("it is read");
    assert_eq!((row.period_ms, row.ttl_ms), (None, Some(100_000)));
    assert_eq!(row.encode().expect("it is written"), text.as_bytes());
    let value = decode_value(include_bytes!("../../tests/stored/ec781bc/value.bin"), u64::MAX);
    assert_eq!(value.expect("it is there").value, "[1,2]");
    let expiring = include_bytes!("../../tests/stored/ec781bc/expiring-value.bin");
    assert_eq!(decode_value(expiring, 1_764_410_459_999).expect("it is there").value, "[3]");
    assert!(decode_value(expiring, 1_764_410_460_000).is_none());
}

#[test]
fn what_a_newer_release_adds_to_a_row_survives_a_firing() {
    let text = include_str!("../../tests/stored/ec781bc/reminder.json").trim_end();
    let text = text.replace(r#""sequence":3"#, r#""sequence":3,"zone":["Europe/Berlin",1]"#);
    let row = WakeupRow::decode(text.as_bytes()).expect("it is read");
    let next = row.after_firing(1_764_410_460_000).expect("it goes on").encode().expect("it is written");
    let next = String::from_utf8(next).expect("it is text");
    assert!(next.contains(r#""zone":["Europe/Berlin",1]"#) && next.contains("1764410520000"), "{next}");
}

//! Reads stored records: checks their format, and refuses records that no host has written.
//!
//! The number says when a record can no longer be understood by hosts that know only earlier ones. A field that such
//! hosts may ignore needs no new number: they keep it with their next change. A record with a higher number is not
//! interpreted at all, so a host that is too old neither serves it nor overwrites it.

use serde::Deserialize;

use super::{FORMAT, LocalRecord, MAX_REVISIONS, Record, first_format};
use daca_base::telemetry::printable_within;
use daca_model::MAX_LABEL;

/// Why a stored record cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// A newer host has written it.
    #[error("it has format {0}, and this host knows formats up to {FORMAT}")]
    TooNew(u32),
    /// It is damaged, or no host has written it.
    #[error("{0}")]
    Damaged(String),
}

/// The part of a record that can be read in every format.
#[derive(Deserialize)]
struct Numbered {
    #[serde(default = "first_format")]
    format: u32,
}

/// The same of the record in a data folder.
#[derive(Deserialize)]
struct LocalNumbered {
    record: Numbered,
}

/// Reads a record from the shared state, and rejects one that no host has written: others can write the store, too.
pub(crate) fn read(text: &[u8]) -> Result<Record, ReadError> {
    check_number(&parse::<Numbered>(text)?)?;
    let record: Record = parse(text)?;
    check(&record).map_err(ReadError::Damaged)?;
    Ok(record)
}

/// Reads the record in a data folder, or in a backup, with the same checks: people can write both.
pub(crate) fn read_local(text: &[u8]) -> Result<LocalRecord, ReadError> {
    check_number(&parse::<LocalNumbered>(text)?.record)?;
    let local: LocalRecord = parse(text)?;
    check(&local.record).map_err(ReadError::Damaged)?;
    Ok(local)
}

fn parse<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, ReadError> {
    daca_base::json::read(text).map_err(|error| ReadError::Damaged(error.to_string()))
}

fn check_number(record: &Numbered) -> Result<(), ReadError> {
    match record.format {
        0 => Err(ReadError::Damaged("0 is not a valid format".into())),
        1..=FORMAT => Ok(()),
        newer => Err(ReadError::TooNew(newer)),
    }
}

fn check(record: &Record) -> Result<(), String> {
    // They become file names.
    let in_use = record.in_use();
    let mut names = record.versions.keys().chain(&in_use).chain(&record.previous);
    if let Some(name) = names.find(|name| !is_digest(name)) {
        return Err(format!("{name:?} is not a SHA-256"));
    }
    // Each change increments it.
    if record.revision > MAX_REVISIONS {
        return Err(format!("{} is not a valid revision", record.revision));
    }
    if record.canary.as_ref().is_some_and(|canary| !(1..=99).contains(&canary.share)) {
        return Err("the canary has no share of 1 to 99 percent".into());
    }
    // They are in lines of the log and in tables.
    let labels = record.versions.values().map(|metadata| &metadata.label);
    let mut labels = labels.chain(&record.schemas).chain(&record.first_label);
    if let Some(label) = labels.find(|label| label.len() > MAX_LABEL || label.contains(char::is_control)) {
        let label = printable_within(label, MAX_LABEL);
        return Err(format!("{label:?} is not a label"));
    }
    Ok(())
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

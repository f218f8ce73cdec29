//! Refuses anything but a table where a table belongs. The parser would otherwise accept an array there, and assign its
//! elements to the table's keys in an undocumented order.

use daca_base::ErrorCode;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::Problems;
use super::reference::TABLES;

/// Any key of a table, and any element of an array.
const ANY: &str = "*";
/// What the names of the reference leave out: these hold tables.
const HOLDERS: [&str; 4] = ["agents", "routes", "subscriptions", "input-bindings"];
/// Tables that the reference describes as values.
const INLINE: [[&str; 3]; 2] = [["routes", ANY, "actor-id"], ["subscriptions", ANY, "actor-id"]];
/// A word or a table.
const PAYLOADS: [[&str; 3]; 2] = [["routes", ANY, "payload"], ["subscriptions", ANY, "payload"]];

/// Checks that every table is written as one. A text that is no TOML has no problem here.
pub(super) fn check(problems: &mut Problems<'_>) {
    let text = problems.text;
    let Ok(document) = DeTable::parse(text) else { return };
    let document = document.get_ref();
    refuse(document, &["agents"], is_no_table, "expected a table", problems);
    for table in &TABLES {
        let mut keys = table.name.split('.').collect::<Vec<_>>();
        if HOLDERS.contains(&keys[0]) {
            keys.insert(1, ANY);
        }
        refuse(document, &keys, is_no_table, "expected a table", problems);
    }
    for keys in &INLINE {
        refuse(document, keys, is_no_table, "expected a table", problems);
    }
    for keys in &PAYLOADS {
        refuse(document, keys, is_array, "expected \"body\", \"none\" or { field = \"FIELD\" }", problems);
    }
}

fn is_no_table(value: &DeValue<'_>) -> bool {
    !matches!(value, DeValue::Table(_))
}

fn is_array(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Array(_))
}

/// Refuses the values with this path of keys that are wrong.
fn refuse(
    document: &DeTable<'_>,
    keys: &[&str],
    is_wrong: impl Fn(&DeValue<'_>) -> bool,
    expected: &str,
    problems: &mut Problems<'_>,
) {
    let Some((first, rest)) = keys.split_first() else { return };
    let mut found = document.get(*first).into_iter().collect::<Vec<_>>();
    for key in rest {
        found = found.into_iter().flat_map(|value| inner(value.get_ref(), key)).collect();
    }
    for value in found.into_iter().filter(|value| is_wrong(value.get_ref())) {
        let message = format!("{}: {expected}", keys.join("."));
        problems.push(ErrorCode::ManifestSyntax, value.span(), message, || {
            "see docs/reference/manifest.md for the keys and the form of their values".into()
        });
    }
}

/// The values in a value with this key.
fn inner<'a, 'i>(value: &'a DeValue<'i>, key: &str) -> Vec<&'a Spanned<DeValue<'i>>> {
    match value {
        DeValue::Table(table) if key == ANY => table.values().collect(),
        DeValue::Table(table) => table.get(key).into_iter().collect(),
        DeValue::Array(array) if key == ANY => array.iter().collect(),
        _ => Vec::new(),
    }
}

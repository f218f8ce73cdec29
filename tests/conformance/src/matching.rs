//! What a case says of a value: the value itself, or an object with one key that begins with `$`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// The replies that have a name, by it.
pub(crate) type Seen = BTreeMap<String, Value>;

/// What differs from what is expected. `None` if nothing does.
pub(crate) fn difference(expected: &Value, actual: &Value, seen: &Seen) -> Option<String> {
    let says = |holds: bool| (!holds).then(|| format!("{actual} is not {expected}"));
    if let Some((operator, operand)) = operator(expected) {
        return says(holds(operator, operand, actual, seen));
    }
    match (expected, actual) {
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            expected.iter().zip(actual).find_map(|(expected, actual)| difference(expected, actual, seen))
        }
        (Value::Object(expected), Value::Object(found)) if expected.len() == found.len() => {
            fields_differ(expected, actual, seen)
        }
        (expected, actual) => says(expected == actual),
    }
}

/// The same for an object of which only some fields are expected.
pub(crate) fn fields_differ(
    expected: &serde_json::Map<String, Value>,
    actual: &Value,
    seen: &Seen,
) -> Option<String> {
    expected.iter().find_map(|(key, expected)| match actual.get(key) {
        Some(actual) => difference(expected, actual, seen).map(|what| format!("{key}: {what}")),
        None => Some(format!("{key} is missing in {actual}")),
    })
}

/// The one key and value of an object whose key begins with `$`.
pub(crate) fn operator(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (key, operand) = object.iter().next()?;
    Some((key.strip_prefix('$')?, operand))
}

fn holds(operator: &str, operand: &Value, actual: &Value, seen: &Seen) -> bool {
    let text = actual.as_str().unwrap_or_default();
    let is = |expected: &Value, actual: &Value| difference(expected, actual, seen).is_none();
    match operator {
        "any" => true,
        "contains" => operand.as_str().is_some_and(|part| text.contains(part)),
        "different" => operand.as_str().and_then(|name| seen.get(name)).is_some_and(|other| other != actual),
        "json" => serde_json::from_str(text).is_ok_and(|value: Value| is(operand, &value)),
        "min" => {
            matches!((operand.as_u64(), actual.as_u64()), (Some(least), Some(actual)) if actual >= least)
        }
        "now" => is_now(operand, actual),
        "one-of" => operand.as_array().is_some_and(|all| all.iter().any(|one| is(one, actual))),
        "unordered" => match (operand.as_array(), actual.as_array()) {
            (Some(all), Some(found)) => {
                all.len() == found.len() && all.iter().all(|one| found.iter().any(|it| is(one, it)))
            }
            _ => false,
        },
        // A word that nobody knows must not hold by chance.
        _ => false,
    }
}

/// Milliseconds since 1970, which differ from the present by no more than these.
fn is_now(tolerance: &Value, actual: &Value) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    match (tolerance.as_u64(), actual.as_u64()) {
        (Some(tolerance), Some(actual)) => u128::from(actual).abs_diff(now) <= u128::from(tolerance),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_expected_is_the_whole_value_unless_a_word_says_less() {
        let seen = Seen::from([("first".to_owned(), json!(1))]);
        for (expected, right, wrong) in [
            (json!({"a": [1, null]}), json!({"a": [1, null]}), json!({"a": [1, null], "b": 1})),
            (json!([]), json!([]), json!([1])),
            (json!({"a": {"$any": true}}), json!({"a": null}), json!({})),
            (json!({"$contains": "b"}), json!("abc"), json!("ac")),
            (json!({"$different": "first"}), json!(2), json!(1)),
            (json!({"$json": {"x": 1}}), json!("{\"x\": 1}"), json!({"x": 1})),
            (json!({"$min": 2}), json!(2), json!(1)),
            (json!({"$one-of": ["a", "b"]}), json!("b"), json!("c")),
            (json!({"$unordered": [1, 2]}), json!([2, 1]), json!([2, 2])),
            (json!({"$now": 60_000}), json!(u64::try_from(now()).unwrap_or_default()), json!(0)),
        ] {
            assert_eq!(difference(&expected, &right, &seen), None, "{expected}");
            assert!(difference(&expected, &wrong, &seen).is_some(), "{expected}");
        }
        assert!(difference(&json!({"$contain": "a"}), &json!("a"), &seen).is_some(), "an unknown word");
        assert!(difference(&json!({"$different": "none"}), &json!(1), &seen).is_some(), "an unknown name");
    }

    fn now() -> u128 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
    }
}

//! Durations as Go writes them (`1m30s`, `250ms`), and the two ways in which Dapr reads a bare number.

use std::time::Duration;

/// A bare number is seconds: so most settings are read.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    bare(text).map(Duration::from_secs).or_else(|| with_units(text))
}

/// A bare number is milliseconds: so Redis reads `processingTimeout` and `redeliverInterval`.
pub(super) fn milliseconds(text: &str) -> Option<Duration> {
    bare(text).map(Duration::from_millis).or_else(|| with_units(text))
}

fn bare(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn with_units(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()?;
        total = total.checked_add(part)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_dapr_reads_them() {
        assert_eq!(seconds("10"), Some(Duration::from_secs(10)));
        assert_eq!(milliseconds("10"), Some(Duration::from_millis(10)));
        assert_eq!(seconds("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(seconds("1.5h"), Some(Duration::from_secs(5400)));
        assert_eq!(seconds("0"), Some(Duration::ZERO));
        for wrong in ["", "s", "10x", "ten", "1e400s", "99999999999999999999h", "-1s", "1..5s"] {
            assert_eq!(seconds(wrong), None, "{wrong:?}");
        }
    }
}

//! Durations in Go's format (`1m30s`, `250ms`), as in Dapr's components and in a sidecar's answers.

use std::time::Duration;

/// Parses a duration with units. `None` if it is invalid or empty.
pub fn parse(text: &str) -> Option<Duration> {
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
    fn durations_are_read_as_go_reads_them() {
        for (text, milliseconds) in [
            ("1h2m3.5s", 3_723_500),
            ("250ms", 250),
            ("0s", 0),
            ("5s", 5_000),
            ("1m0s", 60_000),
            ("1.5h", 5_400_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "x", "1d", "10x", "-1s", "1..5s", "1e400s", "99999999999999999999h"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

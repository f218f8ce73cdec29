//! Durations in Dapr's components: with Go's units, or a bare number, which Dapr interprets in two ways.

use std::time::Duration;

use daca_base::go_duration;

/// A bare number is seconds, as in most settings.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    bare(text).map(Duration::from_secs).or_else(|| go_duration::parse(text))
}

/// A bare number is milliseconds, as in Redis' `processingTimeout` and `redeliverInterval`.
pub(super) fn milliseconds(text: &str) -> Option<Duration> {
    bare(text).map(Duration::from_millis).or_else(|| go_duration::parse(text))
}

fn bare(text: &str) -> Option<u64> {
    text.parse().ok()
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

//! What a server counts of itself, as it tells Prometheus.

/// The sum of the samples with one of these names whose line passes the filter: over all their labels.
pub fn sum(text: &str, names: &[&str], filter: impl Fn(&str) -> bool) -> f64 {
    let is_named = |line: &str| {
        let rest = names.iter().find_map(|name| line.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    };
    let lines = text.lines().filter(|line| is_named(line) && filter(line));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_their_whole_name() {
        let text = "# TYPE a counter\na{x=\"1\"} 2\na{x=\"2\"} 3.5\nab 7\nb 1\n";
        assert_eq!(sum(text, &["a"], |_| true), 5.5);
        assert_eq!(sum(text, &["a", "b"], |line| !line.contains("x=\"2\"")), 3.0);
        assert_eq!(sum(text, &["c"], |_| true), 0.0);
    }
}

//! How the effects of an agent type leave: for how long they are retried, and in which order.

use std::time::Duration;

use serde::Deserialize;

use super::limits::check_time;
use super::problems::Problems;
use daca_base::ErrorCode;

/// The retries and the order of an agent type's effects: the table `[agents.TYPE.effects]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct EffectRules {
    /// The time since its turn's commit for which an effect is retried.
    #[serde(with = "humantime_serde")]
    pub retry_for: Duration,
    /// The wait before the second attempt; it doubles after each. By default the host's `effect-retry-delay`.
    #[serde(with = "humantime_serde")]
    pub backoff: Option<Duration>,
    /// The longest wait between two attempts.
    #[serde(with = "humantime_serde")]
    pub backoff_max: Duration,
    /// The effects that wait behind one that cannot be delivered.
    pub order: EffectOrder,
}

/// The effects of an actor that wait for one that cannot be delivered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectOrder {
    /// Those for the same pub/sub component or binding.
    #[default]
    Component,
    /// All that were requested after it.
    Strict,
}

impl Default for EffectRules {
    fn default() -> EffectRules {
        EffectRules {
            retry_for: Duration::from_secs(24 * 3_600),
            backoff: None,
            backoff_max: Duration::from_secs(300),
            order: EffectOrder::Component,
        }
    }
}

impl EffectRules {
    /// A wait of zero would make retries a busy loop, and doubling would not change it.
    /// `retry_delay` is that of the host.
    pub(super) fn check(&self, agent: &str, retry_delay: Duration, problems: &mut Problems<'_>) {
        let table = ["agents", agent, "effects"];
        check_time(&table, "retry-for", self.retry_for, problems);
        for (key, time) in [("backoff", self.backoff), ("backoff-max", Some(self.backoff_max))] {
            let Some(time) = time else { continue };
            check_time(&table, key, time, problems);
            if time.is_zero() {
                let message = format!("{}.{key} is 0, so retries would never pause", table.join("."));
                let place = problems.locate(&[&table[..], &[key]].concat());
                problems.push(ErrorCode::ManifestInvalidLimit, place, message, || {
                    "write 1ms or more, or leave it out".into()
                });
            }
        }
        let backoff = self.backoff.unwrap_or(retry_delay);
        if backoff <= self.backoff_max || self.backoff_max.is_zero() {
            return;
        }
        let (longest, table_name) = (self.backoff_max, table.join("."));
        let (key, message) = if self.backoff.is_some() {
            ("backoff", format!("{table_name}.backoff is {backoff:?}, and backoff-max is {longest:?}"))
        } else {
            let by = "by host.effect-retry-delay";
            (
                "backoff-max",
                format!("{table_name}.backoff-max is {longest:?}, and backoff is {backoff:?}, {by}"),
            )
        };
        let written = problems.locate(&[&table[..], &[key]].concat());
        // Without the key, its default is too short for the host's delay.
        let place =
            if written.is_empty() { problems.locate(&["host", "effect-retry-delay"]) } else { written };
        problems.push(ErrorCode::ManifestInvalidLimit, place, message, || {
            "give a shorter backoff, or a longer backoff-max".into()
        });
    }
}

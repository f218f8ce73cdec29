//! For how long an effect is tried, how often, and what waits for it.
//!
//! Time decides, and it is counted from the commit of the effect's turn, so that neither a restart nor a move begins it
//! anew. The wall clock is read once, when this host learns of the effect: a clock that is set later ends nothing. One
//! that was wrong before cannot end an effect either before its least number of attempts.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use daca_base::backoff::Backoff;
use daca_base::shares::Weights;
use daca_manifest::{EffectOrder, EffectRules, HostLimits, Manifest};
use daca_model::ActorAddress;
use daca_model::backend::{EffectRequest, EffectTarget};

/// The shortest wait between two attempts. Doubling would not change one of zero.
const MIN_WAIT: Duration = Duration::from_millis(1);
/// A wait is shortened by up to one part of so many: the lanes of many actors must not meet a service that has come
/// back all at once.
const JITTER: u32 = 4;

/// The queue of effects that leave one after the other: those for one target, or, in strict order, all of an actor.
pub(super) type LaneKey = Option<EffectTarget>;

/// The rules of the delivery, and its bounds.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// The policies of agent types.
    pub policies: HashMap<Arc<str>, RetryPolicy>,
    /// The policy of all others.
    pub policy: RetryPolicy,
    /// The weights by which the types share the bounds.
    pub weights: Weights,
    /// The number of waiting effects beyond which calls are refused.
    pub max_pending: usize,
    /// The bytes of waiting effects beyond which calls are refused.
    pub max_pending_bytes: usize,
}

impl DeliveryOptions {
    /// The options that a manifest gives.
    pub fn of(manifest: &Manifest) -> DeliveryOptions {
        let limits = &manifest.host;
        let policy = |rules: &EffectRules| RetryPolicy::of(rules, limits);
        let agents = manifest.agents.values();
        DeliveryOptions {
            policies: agents.map(|agent| (agent.name.clone(), policy(&agent.effects))).collect(),
            policy: policy(&EffectRules::default()),
            weights: manifest.weights(),
            max_pending: limits.max_pending_effects,
            max_pending_bytes: usize::try_from(limits.max_pending_effect_bytes().as_u64())
                .unwrap_or(usize::MAX),
        }
    }

    pub(super) fn of_actor(&self, actor: &ActorAddress) -> RetryPolicy {
        self.policies.get(&actor.agent_type).copied().unwrap_or(self.policy)
    }
}

/// The retries of an agent type's effects.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// The time since the commit of its turn after which an effect is given up.
    pub retry_for: Duration,
    /// The attempts that it has in any case.
    pub min_attempts: u32,
    /// The waits between them.
    pub backoff: Backoff,
    /// What waits for it.
    pub order: EffectOrder,
}

impl RetryPolicy {
    /// A policy without a time: so many attempts, whatever they take.
    pub fn attempts(attempts: u32, retry_delay: Duration) -> RetryPolicy {
        RetryPolicy {
            retry_for: Duration::ZERO,
            min_attempts: attempts,
            backoff: Backoff::unbounded(retry_delay),
            order: EffectOrder::Component,
        }
    }

    fn of(rules: &EffectRules, limits: &HostLimits) -> RetryPolicy {
        let first = rules.backoff.unwrap_or(limits.effect_retry_delay);
        RetryPolicy {
            retry_for: rules.retry_for,
            min_attempts: limits.effect_attempts,
            backoff: Backoff::new(first, rules.backoff_max),
            order: rules.order,
        }
    }

    /// The lane of an effect.
    pub(super) fn lane(&self, request: &EffectRequest) -> LaneKey {
        match self.order {
            EffectOrder::Component => Some(request.target()),
            EffectOrder::Strict => None,
        }
    }

    /// The monotonic time from which on a failed attempt is the last one, for an effect that was committed so long ago.
    pub(super) fn expires(&self, age: Duration, now: Duration) -> Duration {
        now.saturating_add(self.retry_for.saturating_sub(age))
    }

    /// The wait after so many attempts at an effect.
    pub(super) fn wait(&self, id: &str, attempts: u32) -> Duration {
        let wait = self.backoff.after(attempts).max(MIN_WAIT);
        // Of the identity: a source of randomness would be one more thing that may fail.
        let mut hasher = DefaultHasher::new();
        (id, attempts).hash(&mut hasher);
        let share = u32::try_from(hasher.finish() % 1_024).unwrap_or_default();
        wait.saturating_sub(wait / 1_024 * share / JITTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_maximum_and_differ_between_effects() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(300));
        let backoff = Backoff::new(first, longest);
        let policy = RetryPolicy { backoff, ..RetryPolicy::attempts(1, first) };
        for attempts in 1..=20 {
            let whole = backoff.after(attempts);
            let waits = (0..100).map(|number| policy.wait(&format!("turn-{number}"), attempts));
            let waits = waits.collect::<std::collections::BTreeSet<_>>();
            assert!(waits.len() > 10, "{attempts}: {waits:?}");
            assert!(waits.iter().all(|wait| *wait <= whole && *wait >= whole * 3 / 4), "{waits:?}");
        }
        assert!(RetryPolicy::attempts(1, Duration::ZERO).wait("turn-0", u32::MAX) > Duration::ZERO);
        assert!(RetryPolicy::attempts(1, Duration::MAX).wait("turn-0", u32::MAX) > Duration::ZERO);
    }
}

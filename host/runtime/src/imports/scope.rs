//! One turn, seen from the guest's side: what it may use, what it has staged, how much of its limits is used up.
//!
//! The scope is made before the turn and taken back after it. What it holds then is everything that the turn produced;
//! whether that is kept is decided elsewhere ([`crate::actor`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::StateCache;
use crate::contract::daca::agent::types::Error;
use daca_base::clock::Clock;
use daca_manifest::{AgentLimits, AgentType};
use daca_model::backend::{
    Backend, Effect, EffectRequest, Expiry, FiredWakeup, StateValue, StateWrite, TurnCommit,
};
use daca_model::{ActorAddress, CallContext};

/// What the keys begin with that the host keeps beside a guest's own.
const HOST_KEYS: &str = "daca:";
/// Bytes of a state key or of the name of a reminder or timer, at most.
const LONGEST_NAME: usize = 512;
/// Values that are asked of the backend at once, so that a turn never holds many large ones at the same time unseen.
const READ_BATCH: usize = 32;

/// What a turn is given.
pub struct ScopeOptions {
    /// Whose turn it is.
    pub actor: ActorAddress,
    /// What its type may do, and within which limits.
    pub agent: Arc<AgentType>,
    /// What the version that runs can be woken by.
    pub handlers: WakeupHandlers,
    /// Where what the guest asks for goes.
    pub backend: Arc<dyn Backend>,
    /// Names the turn in the log.
    pub turn_id: Arc<str>,
    /// Who waits for this turn, and what is handed on to what it calls.
    pub context: CallContext,
    /// State that is known from earlier turns.
    pub cache: StateCache,
    /// Counts the turns of this actor that committed while another one of it waited.
    pub nested_commits: Arc<AtomicU64>,
    /// The label of the shape that the actor's state is in, when it is not the version's own: a new instance migrates it.
    pub migrate_from: Option<Arc<str>>,
}

/// What a version can be woken by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WakeupHandlers {
    /// It exports `on-reminder`.
    pub on_reminder: bool,
    /// It exports `on-timer`.
    pub on_timer: bool,
}

/// What a turn leaves behind.
pub struct TurnProducts {
    /// What is known of the state from before the commit.
    pub cache: StateCache,
    /// What the turn has staged.
    pub commit: TurnCommit,
    /// Something that the turn asked for was away, so that it may succeed later.
    pub met_unavailable: bool,
}

/// The turn that runs in an instance.
pub struct TurnScope {
    pub(super) options: ScopeOptions,
    pub(super) staged: TurnCommit,
    /// Bytes of the keys and values that are staged, with the data of registrations.
    staged_bytes: u64,
    /// Bytes of the effects that are staged.
    effect_bytes: u64,
    /// Something that the turn asked for was away.
    met_unavailable: bool,
    /// What `nested_commits` was when the cache was last known to be right.
    seen_nested_commits: u64,
}

impl TurnScope {
    /// Before the turn. `handled` is the reminder or timer that it is for; `ends_timers` ends the actor's timers with its commit.
    pub fn new(options: ScopeOptions, handled: Option<FiredWakeup>, ends_timers: bool) -> TurnScope {
        let staged = TurnCommit { handled, ends_timers, ..TurnCommit::default() };
        let seen_nested_commits = options.nested_commits.load(Ordering::Acquire);
        TurnScope {
            options,
            staged,
            staged_bytes: 0,
            effect_bytes: 0,
            met_unavailable: false,
            seen_nested_commits,
        }
    }

    /// The bounds of the agent type.
    pub(crate) fn limits(&self) -> &AgentLimits {
        &self.options.agent.limits
    }

    /// After the turn.
    pub fn finish(mut self) -> TurnProducts {
        self.take_products()
    }

    /// The same of a scope that stays with its instance until the next turn.
    pub(crate) fn take_products(&mut self) -> TurnProducts {
        self.forget_what_nested_turns_wrote();
        TurnProducts {
            cache: std::mem::take(&mut self.options.cache),
            commit: std::mem::take(&mut self.staged),
            met_unavailable: self.met_unavailable,
        }
    }

    /// The time by which values expire.
    pub(crate) fn now(&self) -> SystemTime {
        self.options.backend.clock().now()
    }

    /// The clock whose wall time the guest sees.
    pub(crate) fn clock(&self) -> Clock {
        self.options.backend.clock().clone()
    }

    /// The label of the shape that the state is in, when it is to be migrated.
    pub(crate) fn migrate_from(&self) -> Option<Arc<str>> {
        self.options.migrate_from.clone()
    }

    /// Reads values: what this turn has staged, else what is cached, else what the backend has.
    pub(crate) async fn read(&mut self, keys: &[String]) -> Result<Vec<Option<StateValue>>, Error> {
        let limits = self.limits();
        if keys.len() > limits.state_keys_per_turn {
            return Err(Error::TooLarge(format!(
                "{} keys at once; the limit state-keys-per-turn is {}",
                keys.len(),
                limits.state_keys_per_turn
            )));
        }
        keys.iter().try_for_each(|key| check_key(key))?;
        let most_bytes = limits.memory.as_u64();
        let mut bytes = 0;
        let mut values = Vec::with_capacity(keys.len());
        for batch in keys.chunks(READ_BATCH) {
            for value in self.read_batch(batch).await? {
                bytes += value.as_ref().map_or(0, |value| value.value.len() as u64);
                if bytes > most_bytes {
                    return Err(Error::TooLarge(format!(
                        "the values have more than {most_bytes} bytes in all"
                    )));
                }
                values.push(value);
            }
        }
        Ok(values)
    }

    /// A turn that ran within this one has committed writes of its own.
    fn forget_what_nested_turns_wrote(&mut self) {
        let now = self.options.nested_commits.load(Ordering::Acquire);
        if now != self.seen_nested_commits {
            self.seen_nested_commits = now;
            self.options.cache.clear();
        }
    }

    async fn read_batch(&mut self, keys: &[String]) -> Result<Vec<Option<StateValue>>, Error> {
        self.forget_what_nested_turns_wrote();
        let now = self.now();
        let ScopeOptions { cache, backend, actor, .. } = &mut self.options;
        let staged = &self.staged.writes;
        let unknown = keys
            .iter()
            .filter(|key| !staged.contains_key(*key) && !cache.knows(key, now))
            .cloned()
            .collect::<Vec<_>>();
        let mut read = Vec::new();
        if !unknown.is_empty() {
            read = match backend.read_state(actor, &unknown).await {
                Ok(read) => read,
                Err(error) => return Err(self.met(error.into())),
            };
        }
        let read = unknown.iter().zip(read).collect::<std::collections::HashMap<_, _>>();
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            let value = match staged.get(key) {
                Some(StateWrite::Set { value, ttl }) => {
                    Some(StateValue { value: value.clone(), expiry: expiry(*ttl, now) })
                }
                Some(StateWrite::Delete) => None,
                None => match read.get(key) {
                    Some(read) => {
                        cache.keep(key, read);
                        read.clone()
                    }
                    None => cache.get(key),
                },
            };
            values.push(value);
        }
        Ok(values)
    }

    /// Stages a write. A refused one changes nothing.
    pub(crate) fn write(&mut self, key: String, write: StateWrite) -> Result<(), Error> {
        check_key(&key)?;
        let limits = self.limits();
        let value_bytes = match &write {
            StateWrite::Set { value, .. } => value.len() as u64,
            StateWrite::Delete => 0,
        };
        check_size("the value", value_bytes, "state-value", limits.state_value.as_u64())?;
        let replaced = self.staged.writes.get(&key).map(|old| write_bytes(&key, old));
        let keys = self.staged.writes.len() + usize::from(replaced.is_none());
        if keys > limits.state_keys_per_turn {
            let limit = limits.state_keys_per_turn;
            return Err(Error::TooLarge(format!(
                "the turn writes more than {limit} keys, its limit state-keys-per-turn"
            )));
        }
        let bytes = self.staged_bytes - replaced.unwrap_or(0) + write_bytes(&key, &write);
        check_size(
            "what the turn writes",
            bytes,
            "state-bytes-per-turn",
            limits.state_bytes_per_turn.as_u64(),
        )?;
        self.staged_bytes = bytes;
        self.staged.writes.insert(key, write);
        Ok(())
    }

    /// Notes an error of what the turn asked for.
    pub(super) fn met(&mut self, error: Error) -> Error {
        self.met_unavailable |= matches!(error, Error::Unavailable(_));
        error
    }

    /// Counts what is staged against the bytes that a turn may write.
    pub(super) fn take_state_bytes(&mut self, replaced: u64, added: u64) -> Result<(), Error> {
        let bytes = self.staged_bytes - replaced + added;
        let limit = self.limits().state_bytes_per_turn.as_u64();
        check_size("what the turn writes", bytes, "state-bytes-per-turn", limit)?;
        self.staged_bytes = bytes;
        Ok(())
    }

    /// Stages an effect and answers its number within the turn.
    pub(super) fn stage_effect(&mut self, request: EffectRequest) -> Result<u32, Error> {
        let limit = self.limits().effects_per_turn;
        if self.staged.effects.len() >= limit {
            return Err(Error::TooLarge(format!(
                "the turn has more than {limit} effects, its limit effects-per-turn"
            )));
        }
        let bytes = self.effect_bytes + request.bytes() as u64;
        let most_bytes = self.limits().effect_bytes_per_turn.as_u64();
        check_size("what the turn's effects carry", bytes, "effect-bytes-per-turn", most_bytes)?;
        self.effect_bytes = bytes;
        let number = u32::try_from(self.staged.effects.len()).unwrap_or(u32::MAX);
        self.staged.effects.push(Effect {
            request,
            delivered_line: None,
            undeliverable_line: None,
            traceparent: self.options.context.traceparent.clone(),
        });
        Ok(number)
    }

    /// Checks what is sent to the outside in one piece.
    pub(super) fn check_payload(&self, what: &str, bytes: usize) -> Result<(), Error> {
        check_size(what, bytes as u64, "payload", self.limits().payload.as_u64())
    }
}

/// A key of the state that is the guest's.
fn check_key(key: &str) -> Result<(), Error> {
    if key.starts_with(HOST_KEYS) {
        return Err(Error::Invalid(format!(
            "the key {key:?} begins with {HOST_KEYS}, and such keys are the host's"
        )));
    }
    check_name("key", key)
}

/// A key of the state, or any other name that a guest gives: not empty, not too long, and nothing in it that the store takes for
/// a separator.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::Invalid(format!("the {what} is empty")));
    }
    if name.len() > LONGEST_NAME {
        return Err(Error::TooLarge(format!(
            "the {what} has {} bytes, and {LONGEST_NAME} is the most",
            name.len()
        )));
    }
    if name.contains("||") || name.chars().any(char::is_control) {
        return Err(Error::Invalid(format!("the {what} {name:?} has || or a control character")));
    }
    Ok(())
}

fn check_size(what: &str, bytes: u64, limit_name: &str, limit: u64) -> Result<(), Error> {
    if bytes > limit {
        return Err(Error::TooLarge(format!("{what} has {bytes} bytes; the limit {limit_name} is {limit}")));
    }
    Ok(())
}

fn write_bytes(key: &str, write: &StateWrite) -> u64 {
    let value = match write {
        StateWrite::Set { value, .. } => value.len(),
        StateWrite::Delete => 0,
    };
    (key.len() + value) as u64
}

/// When a write that commits now ceases to exist.
pub(super) fn expiry(ttl: Option<Duration>, now: SystemTime) -> Expiry {
    ttl.and_then(|ttl| now.checked_add(ttl)).map_or(Expiry::Never, Expiry::At)
}

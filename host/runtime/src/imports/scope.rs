//! One turn from the guest's side: its permissions, its staged changes, and its use of the limits.
//!
//! The scope is created before the turn and taken back after it. It then has everything that the turn produced;
//! [`crate::actor`] decides whether that is committed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::expiry::expiry;
use super::{KnownState, LogShare, StateCache, TurnUse};
use crate::actor_use::ActorUse;
use crate::contract::daca::agent::types::Error;
use daca_base::clock::Clock;
use daca_base::memory::Reservation;
use daca_manifest::{AgentLimits, AgentType};
use daca_model::backend::{
    ActorCalls, Effect, EffectRequest, FiredWakeup, HOST_KEYS, StateValue, StateWrite, TurnBackend,
    TurnCommit,
};
use daca_model::{ActorAddress, CallContext};

/// The maximum length in bytes of a state key, and of the name of a reminder or timer.
const MAX_NAME: usize = 512;
/// The number of values that are requested from the backend at once, so that a turn never has many large ones in memory
/// unchecked.
const READ_BATCH: usize = 32;

/// Staged bytes that are not reserved in the host's budget of memory.
const UNCOUNTED: u64 = 16 * 1024;
/// The part of a commit that is left for what the host adds: earlier effects that wait, and the dedup log.
const HOST_BYTES: u64 = 64 * 1024;

/// The context of a turn.
pub struct ScopeOptions {
    /// The actor whose turn it is.
    pub actor: ActorAddress,
    /// The permissions and limits of its type.
    pub agent: Arc<AgentType>,
    /// The wake-ups that the running version handles.
    pub handlers: WakeupHandlers,
    /// The target of the guest's requests.
    pub backend: Arc<dyn TurnBackend>,
    /// The target of its calls of other actors.
    pub calls: Arc<dyn ActorCalls>,
    /// The name of the turn in the log.
    pub turn_id: Arc<str>,
    /// The actors that wait for this turn, and the values that are passed on to its calls.
    pub context: CallContext,
    /// State that is known already.
    pub known: KnownState,
    /// The label of the state's schema, if it is not the version's own: a new instance migrates it.
    pub migrate_from: Option<Arc<str>>,
    /// Where its use of the host is counted.
    pub counted: TurnUse,
}

/// The wake-ups that a version handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WakeupHandlers {
    /// It exports `on-reminder`.
    pub on_reminder: bool,
    /// It exports `on-timer`.
    pub on_timer: bool,
}

/// The products of a turn.
pub struct TurnProducts {
    /// The known state from before the commit.
    pub cache: StateCache,
    /// The staged changes.
    pub commit: TurnCommit,
    /// A service that the turn used was unavailable, so the turn may succeed later.
    pub saw_transient_error: bool,
    /// The part of the host's budget of memory that the staged changes have, until they are committed.
    pub reserved: Option<Reservation>,
}

/// The turn that runs in an instance.
pub struct TurnScope {
    pub(super) options: ScopeOptions,
    pub(super) staged: TurnCommit,
    /// The bytes of the staged keys and values, with the data of registrations.
    staged_bytes: u64,
    /// The bytes of the staged effects.
    effect_bytes: u64,
    /// The same in the effect log.
    logged_bytes: u64,
    /// A service that the turn used was unavailable.
    saw_transient_error: bool,
    /// The value of `nested_commits` when the cache was last known to be right.
    seen_nested_commits: u64,
    /// The part of the host's budget of memory that the staged changes have.
    reserved: Option<Reservation>,
}

impl TurnScope {
    /// Creates it before the turn. `handled` is the reminder or timer that the turn handles; `ends_timers` ends the
    /// actor's timers with its commit.
    pub fn new(options: ScopeOptions, handled: Option<FiredWakeup>, ends_timers: bool) -> TurnScope {
        let staged = TurnCommit { handled, ends_timers, ..TurnCommit::default() };
        let seen_nested_commits = options.known.nested_commits.load(Ordering::Acquire);
        TurnScope {
            options,
            staged,
            staged_bytes: 0,
            effect_bytes: 0,
            logged_bytes: 0,
            saw_transient_error: false,
            seen_nested_commits,
            reserved: None,
        }
    }

    /// The agent type.
    pub(crate) fn agent_type(&self) -> &str {
        &self.options.actor.agent_type
    }

    /// What the actor has used.
    pub(crate) fn used(&self) -> &ActorUse {
        &self.options.counted.actor
    }

    /// What the turn stages counts there.
    pub(crate) fn reserve_in(&mut self, reserved: Reservation) {
        self.reserved = Some(reserved);
    }

    /// The limits of the agent type.
    pub(crate) fn limits(&self) -> &AgentLimits {
        &self.options.agent.limits
    }

    /// The share of the type in the log.
    pub(crate) fn log_share(&self) -> Option<LogShare> {
        let TurnUse { log_rate, actor } = &self.options.counted;
        let agent_type = self.options.actor.agent_type.clone();
        Some(LogShare { rate: log_rate.clone()?, agent_type, used: actor.clone() })
    }

    /// Ends it after the turn.
    pub fn finish(mut self) -> TurnProducts {
        self.take_products()
    }

    /// The same for a scope that stays with its instance until the next turn.
    pub(crate) fn take_products(&mut self) -> TurnProducts {
        self.forget_what_nested_turns_wrote();
        TurnProducts {
            cache: std::mem::take(&mut self.options.known.cache),
            commit: std::mem::take(&mut self.staged),
            saw_transient_error: self.saw_transient_error,
            reserved: self.reserved.take(),
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

    /// The label of the state's schema, if the state is to be migrated.
    pub(crate) fn migrate_from(&self) -> Option<Arc<str>> {
        self.options.migrate_from.clone()
    }

    /// Reads values: from this turn's staged writes, else from the cache, else from the backend.
    pub(crate) async fn read(&mut self, keys: &[String]) -> Result<Vec<Option<StateValue>>, Error> {
        self.check_key_count(keys.len())?;
        keys.iter().try_for_each(|key| check_key(key))?;
        let most_bytes = self.limits().memory.as_u64();
        let mut bytes = 0;
        let mut values = Vec::with_capacity(keys.len());
        for batch in keys.chunks(READ_BATCH) {
            for value in self.read_batch(batch, most_bytes - bytes).await? {
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

    /// Checks the number of keys that are read at once.
    pub(super) fn check_key_count(&self, keys: usize) -> Result<(), Error> {
        let limit = self.limits().state_keys_per_turn;
        if keys > limit {
            let text = format!("{keys} keys at once; the limit state-keys-per-turn is {limit}");
            return Err(Error::TooLarge(text));
        }
        Ok(())
    }

    /// A nested turn has committed writes of its own.
    fn forget_what_nested_turns_wrote(&mut self) {
        let now = self.options.known.nested_commits.load(Ordering::Acquire);
        if now != self.seen_nested_commits {
            self.seen_nested_commits = now;
            self.options.known.cache.clear();
        }
    }

    /// Reads some values. If they have more than `most_bytes` together, some may be missing, and the others have more.
    async fn read_batch(
        &mut self,
        keys: &[String],
        most_bytes: u64,
    ) -> Result<Vec<Option<StateValue>>, Error> {
        self.forget_what_nested_turns_wrote();
        let now = self.now();
        let ScopeOptions { known: KnownState { cache, .. }, backend, actor, .. } = &mut self.options;
        let staged = &self.staged.writes;
        let unknown = keys
            .iter()
            .filter(|key| !staged.contains_key(*key) && !cache.knows(key, now))
            .cloned()
            .collect::<Vec<_>>();
        let mut read = Vec::new();
        if !unknown.is_empty() {
            read = match backend.read_state_within(actor, &unknown, most_bytes).await {
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

    /// Stages a write. A rejected one changes nothing.
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
            "the state that the turn writes",
            bytes,
            "state-bytes-per-turn",
            limits.state_bytes_per_turn.as_u64(),
        )?;
        self.reserve(bytes + self.effect_bytes)?;
        self.staged_bytes = bytes;
        self.staged.writes.insert(key, write);
        Ok(())
    }

    /// Reserves memory for so many staged bytes. Small ones are not worth it. A guest cannot wait here, so it is told
    /// when there is none, which happens if turns that run have it all.
    fn reserve(&mut self, staged: u64) -> Result<(), Error> {
        let Some(reserved) = &mut self.reserved else { return Ok(()) };
        let more = staged.saturating_sub(reserved.bytes());
        if more < UNCOUNTED || reserved.grow_or_refuse(more).is_ok() {
            return Ok(());
        }
        Err(self.met(Error::Unavailable("the host has no memory for what the turn writes".into())))
    }

    /// Records an error of a request.
    pub(super) fn met(&mut self, error: Error) -> Error {
        self.saw_transient_error |= matches!(error, Error::Unavailable(_));
        error
    }

    /// Counts staged bytes against the limit of the turn.
    pub(super) fn take_state_bytes(&mut self, replaced: u64, added: u64) -> Result<(), Error> {
        let bytes = self.staged_bytes - replaced + added;
        let limit = self.limits().state_bytes_per_turn.as_u64();
        check_size("the state that the turn writes", bytes, "state-bytes-per-turn", limit)?;
        self.staged_bytes = bytes;
        Ok(())
    }

    /// Stages an effect and returns its number within the turn.
    pub(super) fn stage_effect(&mut self, request: EffectRequest) -> Result<u32, Error> {
        let limit = self.limits().effects_per_turn;
        if self.staged.effects.len() >= limit {
            return Err(Error::TooLarge(format!(
                "the turn has more than {limit} effects, its limit effects-per-turn"
            )));
        }
        let bytes = self.effect_bytes + request.bytes() as u64;
        let most_bytes = self.limits().effect_bytes_per_turn.as_u64();
        check_size("the payload of the turn's effects", bytes, "effect-bytes-per-turn", most_bytes)?;
        self.reserve(self.staged_bytes + bytes)?;
        let mut logged_bytes = self.logged_bytes;
        if let Some(limit) = self.options.backend.max_commit_bytes() {
            logged_bytes += request.logged_bytes() as u64;
            let limit = limit - HOST_BYTES.min(limit / 4);
            let bytes = self.staged_bytes + logged_bytes;
            check_size(
                "the state that the turn writes, with its effects,",
                bytes,
                self.options.backend.commit_limit_name(),
                limit,
            )?;
        }
        (self.effect_bytes, self.logged_bytes) = (bytes, logged_bytes);
        let number = self.staged.effects.len();
        self.staged.effects.push(Effect {
            id: Effect::id_of(&self.options.turn_id, number),
            request,
            delivered_line: None,
            undeliverable_line: None,
            traceparent: self.options.context.traceparent.clone(),
            after_failure: false,
        });
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// Checks the size of one payload.
    pub(super) fn check_payload(&self, what: &str, bytes: usize) -> Result<(), Error> {
        check_size(what, bytes as u64, "payload", self.limits().payload.as_u64())
    }
}

/// Checks a state key of the guest.
fn check_key(key: &str) -> Result<(), Error> {
    if key.starts_with(HOST_KEYS) {
        return Err(Error::Invalid(format!(
            "the key {key:?} begins with {HOST_KEYS}, which is reserved for the host"
        )));
    }
    check_name("key", key)
}

/// Checks a state key, or any other name that a guest gives: it must not be empty or too long, or contain anything that
/// the store treats as a separator.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::Invalid(format!("the {what} is empty")));
    }
    if name.len() > MAX_NAME {
        return Err(Error::TooLarge(format!(
            "the {what} has {} bytes; the maximum is {MAX_NAME}",
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

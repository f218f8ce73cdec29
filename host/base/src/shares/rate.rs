//! What the agent types use up in each second, of a rate that they share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::held_back::LOG_PAUSE;
use super::{HeldBack, ShareUse, SharedPool, Weights};
use crate::ErrorCode;

/// The time after which the rate is there again.
const SECOND: Duration = Duration::from_secs(1);

/// A rate that the agent types of a host share by their weights. A cheap handle.
#[derive(Debug, Clone)]
pub struct SharedRate {
    pool: SharedPool,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// When this second began.
    began: Instant,
    /// By agent type. All that the pool does not know are one.
    refused: BTreeMap<Arc<str>, Refused>,
}

/// What was refused to one type.
#[derive(Debug, Default)]
struct Refused {
    times: u64,
    amount: u64,
    last_logged: Option<Instant>,
    /// When something was let through all the same.
    last_excepted: Option<Instant>,
}

impl SharedRate {
    /// `name` is what it has, in the plural, for people.
    pub fn new(name: &'static str, a_second: usize, weights: &Weights) -> SharedRate {
        let state = State { began: Instant::now(), refused: BTreeMap::new() };
        SharedRate { pool: SharedPool::new(name, a_second, weights), state: Arc::new(Mutex::new(state)) }
    }

    /// Uses up a part of this second's rate.
    pub fn take(&self, agent_type: &str, amount: usize) -> Result<(), HeldBack> {
        let taken = self.current().use_up(agent_type, amount);
        taken.inspect_err(|held_back| self.refuse(held_back, amount))
    }

    /// The same, and once in a second of each type even if nothing is left: for what must not stay unknown altogether.
    pub fn take_or_except(&self, agent_type: &str, amount: usize) -> Result<(), HeldBack> {
        let Err(held_back) = self.current().use_up(agent_type, amount) else { return Ok(()) };
        let mut state = self.state.lock();
        let last = &mut state.refused.entry(held_back.agent_type.clone()).or_default().last_excepted;
        if last.is_none_or(|last| last.elapsed() >= SECOND) {
            *last = Some(Instant::now());
            return Ok(());
        }
        drop(state);
        self.refuse(&held_back, amount);
        Err(held_back)
    }

    /// Counts a refusal, and tells the log once in a while. What is beyond a share, the pool itself has told it.
    fn refuse(&self, held_back: &HeldBack, amount: usize) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let refused = state.refused.entry(held_back.agent_type.clone()).or_default();
        refused.times += 1;
        refused.amount = refused.amount.saturating_add(amount as u64);
        let is_due = refused.last_logged.is_none_or(|last| now.duration_since(last) >= LOG_PAUSE);
        if held_back.is_beyond || !is_due {
            return;
        }
        refused.last_logged = Some(now);
        let (times, amount) = (refused.times, refused.amount);
        drop(state);
        tracing::warn!(
            code = ErrorCode::ShareExceeded.as_str(),
            agent_type = %held_back.agent_type,
            pool = held_back.pool,
            used = held_back.used,
            share = held_back.share,
            capacity = held_back.capacity,
            "{held_back}: too little is left of this second. It was refused {times} times since the host started, \
             {amount} altogether"
        );
    }

    /// How often a type was refused something, for whatever reason.
    pub fn refused(&self, agent_type: &str) -> u64 {
        self.state.lock().refused.get(agent_type).map_or(0, |refused| refused.times)
    }

    /// What it has.
    pub fn name(&self) -> &'static str {
        self.pool.name()
    }

    /// What each type has used of this second's rate, and ever.
    pub fn uses(&self) -> Vec<ShareUse> {
        self.current().uses()
    }

    /// The same as a pool, for those who look at all pools.
    pub fn pool(&self) -> &SharedPool {
        self.current()
    }

    /// The pool of this second: what was used in an earlier one is there again.
    fn current(&self) -> &SharedPool {
        let mut state = self.state.lock();
        if state.began.elapsed() >= SECOND {
            state.began = Instant::now();
            self.pool.renew();
        }
        &self.pool
    }
}

//! What the agent types use up in each second, of a rate that they share.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{HeldBack, ShareUse, SharedPool, Weights};

/// The time after which the rate is there again.
const SECOND: Duration = Duration::from_secs(1);

/// A rate that the agent types of a host share by their weights. A cheap handle.
#[derive(Debug, Clone)]
pub struct SharedRate {
    pool: SharedPool,
    began: Arc<Mutex<Instant>>,
}

impl SharedRate {
    /// `name` is what it has, in the plural, for people.
    pub fn new(name: &'static str, a_second: usize, weights: &Weights) -> SharedRate {
        SharedRate {
            pool: SharedPool::new(name, a_second, weights),
            began: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Uses up a part of this second's rate.
    pub fn take(&self, agent_type: &str, amount: usize) -> Result<(), HeldBack> {
        let mut began = self.began.lock();
        if began.elapsed() >= SECOND {
            *began = Instant::now();
            self.pool.renew();
        }
        drop(began);
        self.pool.use_up(agent_type, amount)
    }

    /// What it has.
    pub fn name(&self) -> &'static str {
        self.pool.name()
    }

    /// What each type has used of this second's rate, and ever.
    pub fn uses(&self) -> Vec<ShareUse> {
        self.pool.uses()
    }

    /// The same as a pool, for those who look at all pools.
    pub fn pool(&self) -> &SharedPool {
        &self.pool
    }
}

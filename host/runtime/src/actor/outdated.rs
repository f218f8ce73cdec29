//! The instances of a replaced version, which idle actors would keep.

use tokio::time::Instant;

use super::Actors;

/// Activations that are checked together after a swap: their instances are dropped without a pause, in about 10 µs
/// each.
const LOOKED_AT_TOGETHER: usize = 16;
/// Eviction backoff: the instances of a replaced version are dropped for one part of the time, with a pause of this
/// many parts.
const EVICTION_BACKOFF: u32 = 9;

impl Actors {
    /// Drops the instances of idle actors that are not on the version that serves them, so that a replaced version
    /// releases its memory. An actor that is not called again would keep it otherwise. Called after each swap.
    pub async fn drop_outdated_instances(&self, agent_type: &str) {
        let Some(agent) = self.runtimes().get(agent_type) else { return };
        // Those that become idle from now on are on the new version.
        let idle = self.services.live.idle.with_instance().into_iter();
        let idle = idle.filter(|one| *one.address.agent_type == *agent_type).collect::<Vec<_>>();
        for some in idle.chunks(LOOKED_AT_TOGETHER) {
            let (began, split) = (Instant::now(), agent.rollout.now());
            for activation in some {
                activation.give_up_outdated_instance(&split);
            }
            // Callers of the new version must not notice.
            tokio::time::sleep(began.elapsed() * EVICTION_BACKOFF).await;
        }
    }
}

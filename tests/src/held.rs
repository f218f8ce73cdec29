//! Turns that last until a test lets them end: no test may depend on being faster than a turn.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::host::Host;
use crate::wait::eventually;

/// Milliseconds for a turn that nothing can release, such as one in a host that shuts down and takes no more calls. On a busy
/// machine it may have ended before its test has come to what it is about: then once more, with the next.
pub const LONGER_AND_LONGER: [u64; 4] = [1_000, 4_000, 12_000, 25_000];

/// The actor that keeps a turn of this one waiting.
fn gate(actor: &str) -> String {
    format!("gate-of-{}", actor.replace('/', "-"))
}

/// The payload of `WaitFor` for a turn of an actor that lasts until [`Host::release`]. Its type has the guest `exerciser`, may
/// call the type `Exerciser`, and has a long `turn-time`.
pub fn until_released(actor: &str) -> Value {
    json!({"call": {"type": "Exerciser", "id": gate(actor), "method": "GetState", "payload": {"key": "open"}}})
}

impl Host {
    /// Begins a turn of an actor that lasts until it is released; see [`until_released`].
    pub fn hold(self: &Arc<Host>, actor: &str) -> JoinHandle<anyhow::Result<Answer>> {
        self.begin(actor, "WaitFor", &until_released(actor))
    }

    /// Lets the turn of an actor end.
    pub async fn release(&self, actor: &str) -> anyhow::Result<()> {
        let gate = format!("Exerciser/{}", gate(actor));
        self.call(&gate, "SetState", &json!({"key": "open", "value": true})).await.map(drop)
    }

    /// Waits until a turn of an actor runs and so many calls wait behind it, or until `turn` has ended. Answers whether it goes
    /// on.
    pub async fn is_caught<T>(
        &self,
        actor: &str,
        queued: usize,
        turn: &JoinHandle<T>,
    ) -> anyhow::Result<bool> {
        eventually("the actor runs and its queue is that long, or the turn is over", async || {
            Ok(turn.is_finished() || self.is_busy(actor, queued).await?)
        })
        .await?;
        Ok(!turn.is_finished())
    }
}

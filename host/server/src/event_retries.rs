//! The retries of an event.
//!
//! A broker cannot be relied on to redeliver an event that was answered RETRY: Redis in Dapr 1.17 and later
//! acknowledges it nevertheless (`processMessage` in `pubsub/redis/redis.go` of components-contrib 1.17). So an event
//! with a transient failure is retried here first, as long as Redis waits for an answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Subscriptions;
use daca_base::ErrorCode;
use daca_base::backoff::Backoff;
use daca_base::telemetry::printable;
use daca_model::backend::EventOutcome;
use daca_model::{CallContext, HostPhase, Lifecycle};

/// The time for which an event is retried here. Redis gives it to another consumer after `processingTimeout`, 60 s by
/// default.
const RETRY_TIME: Duration = Duration::from_secs(45);
/// The waits before retries. The longest is also the longest delay of a shutdown.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(2));
/// Events that wait here for a retry. Further ones are given back to the broker.
const MAX_WAITING: usize = 64;

/// Limits the events that wait for a retry. Cheap to clone.
#[derive(Clone)]
pub(super) struct Retries {
    places: Arc<Semaphore>,
    /// Events that wait when the shutdown begins are left to another host.
    lifecycle: Lifecycle,
}

impl Retries {
    pub(super) fn new(lifecycle: Lifecycle) -> Retries {
        Retries { places: Arc::new(Semaphore::new(MAX_WAITING)), lifecycle }
    }

    /// Delivers a broker's event, with retries. Failures of the host or of a service behind it are retried until the
    /// time is over, and failures of the agent `attempts` times.
    pub(super) async fn deliver(
        &self,
        subscriptions: &Subscriptions,
        path: &str,
        event: &Bytes,
        context: CallContext,
    ) -> EventOutcome {
        let read = match subscriptions.read(path, event).await {
            Ok(read) => read,
            Err(outcome) => return outcome,
        };
        let until = Instant::now() + RETRY_TIME;
        let (mut attempt, mut failed, mut place) = (0, 0, None::<OwnedSemaphorePermit>);
        loop {
            attempt += 1;
            let reason = match subscriptions.attempt(&read, context.clone()).await {
                EventOutcome::Failed(reason) => {
                    failed += 1;
                    if failed >= read.attempts() {
                        return subscriptions.give_up(&read, reason).await;
                    }
                    reason
                }
                EventOutcome::Retry(reason) => reason,
                outcome => return outcome,
            };
            if place.is_none() {
                place = self.places.clone().try_acquire_owned().ok();
            }
            let wait = BACKOFF.after(attempt);
            let is_draining = self.lifecycle.has_reached(HostPhase::Draining);
            let has_time = Instant::now() + wait <= until && !is_draining;
            if place.is_none() || !has_time {
                tracing::warn!(
                    path,
                    code = ErrorCode::EventGivenBack.as_str(),
                    "an event is to be redelivered: {}",
                    printable(&reason)
                );
                return EventOutcome::Retry(reason);
            }
            tracing::debug!(path, attempt, "an event will be retried: {}", printable(&reason));
            tokio::time::sleep(wait).await;
        }
    }
}

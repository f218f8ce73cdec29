//! Publishes events: waiting events of many actors in one request.
//!
//! A request to the sidecar costs much more than an event in it. While a request for a topic is in flight, events for
//! the same topic wait, and the next request sends all of them: no event waits for others to arrive, and the busier the
//! host, the fewer requests it makes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use dapr::dapr::proto::runtime::v1 as proto;
use futures::FutureExt as _;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tonic::{Code, Response, Status};

use super::connection::Client;
use super::request::{STORE_TIMEOUT, traced, within};
use super::status;
use super::texts::refused_for_good;
use daca_model::backend::Error;
use daca_model::cloud_event::content_type;

/// The maximum number of events in one request.
const MAX_EVENTS: usize = 100;
/// The maximum size of the events in one request in bytes, unless a single event is larger. The sidecar accepts 4 MiB
/// (`--max-body-size`).
const MAX_BYTES: usize = 1024 * 1024;

/// The pub/sub component and the topic.
type Topic = (String, String);

/// Publishes events. Cheap to clone.
#[derive(Clone)]
pub(super) struct Publisher {
    client: Client,
    /// The topics with a task, and the events that wait for its next request. Their number is bounded by the callers:
    /// each lane of effects waits for its own.
    topics: Arc<Mutex<HashMap<Topic, VecDeque<WaitingEvents>>>>,
    /// The sidecar knows the method for bulk publishing only by its older name: before Dapr 1.17.
    is_old: Arc<AtomicBool>,
}

/// An event to be published.
#[derive(Debug, Clone)]
pub(super) struct OutgoingEvent {
    /// The id of its CloudEvent; the sidecar makes one up for `None`.
    pub(super) id: Option<Arc<str>>,
    pub(super) data: Bytes,
    pub(super) traceparent: Option<Arc<str>>,
}

/// Consecutive events of one actor.
struct WaitingEvents {
    events: Vec<OutgoingEvent>,
    outcome: oneshot::Sender<BulkOutcome>,
}

/// The result of a request with events.
enum BulkOutcome {
    /// It published all of them, or the broker has seen none of them.
    Together(Result<(), Error>),
    /// The sidecar rejected it. One event among many may be the cause, so each has to be tried separately.
    Refused,
}

impl Publisher {
    pub(super) fn new(client: Client) -> Publisher {
        Publisher { client, topics: Arc::default(), is_old: Arc::default() }
    }

    /// Publishes events of one actor in order, and returns a result for each. More than one is allowed only for a
    /// component that keeps the order within a request.
    pub(super) async fn publish(&self, topic: Topic, events: Vec<OutgoingEvent>) -> Vec<Result<(), Error>> {
        let (outcome, done) = oneshot::channel();
        self.enqueue(&topic, WaitingEvents { events: events.clone(), outcome });
        match done.await {
            Ok(BulkOutcome::Together(result)) => vec![result; events.len()],
            Ok(BulkOutcome::Refused) => self.publish_each(&topic, &events).await,
            Err(_) => vec![Err(Error::Other("the host failed unexpectedly".into())); events.len()],
        }
    }

    /// Publishes events one after the other. None overtakes one that may still be published.
    async fn publish_each(&self, topic: &Topic, events: &[OutgoingEvent]) -> Vec<Result<(), Error>> {
        let mut results = Vec::<Result<(), Error>>::new();
        for event in events {
            let result = match results.last() {
                Some(Err(error)) if error.is_retryable() => Err(Error::clone(error)),
                _ => self.publish_one(topic, event).await,
            };
            results.push(result);
        }
        results
    }

    /// Publishes one event in a separate request.
    pub(super) async fn publish_one(&self, topic: &Topic, event: &OutgoingEvent) -> Result<(), Error> {
        let (pubsub_name, topic) = topic.clone();
        let request = proto::PublishEventRequest {
            pubsub_name,
            topic,
            data: event.data.to_vec(),
            data_content_type: content_type(&event.data).to_owned(),
            metadata: id_override(event).collect(),
        };
        let mut client = self.client.clone();
        let request = traced(request, event.traceparent.as_deref());
        let published = within(STORE_TIMEOUT, client.publish_event(request)).await;
        published
            .map(drop)
            .map_err(|status| refused_for_good(status::error("the event was not published", &status)))
    }

    fn enqueue(&self, topic: &Topic, waiting: WaitingEvents) {
        let mut topics = self.lock();
        if let Some(queue) = topics.get_mut(topic) {
            queue.push_back(waiting);
            return;
        }
        topics.insert(topic.clone(), VecDeque::from([waiting]));
        drop(topics);
        tokio::spawn(self.clone().run(topic.clone()));
    }

    /// Sends the waiting events of a topic, until there are none.
    async fn run(self, topic: Topic) {
        while let Some(together) = self.next(&topic) {
            let outcome = std::panic::AssertUnwindSafe(self.send(&topic, &together)).catch_unwind().await;
            // A panic must not leave the topic without a task, and its events waiting forever.
            let Ok(outcome) = outcome else { continue };
            for waiting in together {
                let outcome = match &outcome {
                    BulkOutcome::Together(result) => BulkOutcome::Together(result.clone()),
                    BulkOutcome::Refused => BulkOutcome::Refused,
                };
                // Nobody waits any more.
                waiting.outcome.send(outcome).ok();
            }
        }
    }

    /// The events for the next request of a topic; `None` if none wait, and the topic then has no task any more.
    fn next(&self, topic: &Topic) -> Option<Vec<WaitingEvents>> {
        let mut topics = self.lock();
        let queue = topics.get_mut(topic)?;
        let Some(first) = queue.pop_front() else {
            topics.remove(topic);
            return None;
        };
        let (mut count, mut bytes) = size(&first.events);
        let mut together = vec![first];
        while let Some(next) = queue.front() {
            let (more, more_bytes) = size(&next.events);
            (count, bytes) = (count + more, bytes + more_bytes);
            if count > MAX_EVENTS || bytes > MAX_BYTES {
                break;
            }
            together.extend(queue.pop_front());
        }
        Some(together)
    }

    async fn send(&self, topic: &Topic, together: &[WaitingEvents]) -> BulkOutcome {
        let events = together.iter().flat_map(|waiting| &waiting.events).collect::<Vec<_>>();
        if let [event] = *events {
            return BulkOutcome::Together(self.publish_one(topic, event).await);
        }
        let request = proto::BulkPublishRequest {
            pubsub_name: topic.0.clone(),
            topic: topic.1.clone(),
            entries: events.iter().enumerate().map(|(number, event)| entry(number, event)).collect(),
            metadata: HashMap::new(),
        };
        match self.publish_many(request).await {
            Ok(answer) if answer.get_ref().failed_entries.is_empty() => BulkOutcome::Together(Ok(())),
            Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => {
                BulkOutcome::Together(Err(status::error("the events were not published", &status)))
            }
            // One entry that fails makes the request fail (`BulkPublishEvent` in `pkg/api/grpc/grpc.go`).
            Ok(_) | Err(_) => BulkOutcome::Refused,
        }
    }

    async fn publish_many(
        &self,
        request: proto::BulkPublishRequest,
    ) -> Result<Response<proto::BulkPublishResponse>, Status> {
        let mut client = self.client.clone();
        if !self.is_old.load(Ordering::Relaxed) {
            match within(STORE_TIMEOUT, client.bulk_publish_event(request.clone())).await {
                // Nothing of it was published.
                Err(status) if status::is_unknown_method(&status) => {
                    self.is_old.store(true, Ordering::Relaxed);
                }
                answer => return answer,
            }
        }
        #[expect(deprecated, reason = "Dapr 1.16 serves only the method with this name")]
        let answer = within(STORE_TIMEOUT, client.bulk_publish_event_alpha1(request)).await;
        if answer.as_ref().is_err_and(status::is_unknown_method) {
            // It has been replaced by a sidecar of a later release.
            self.is_old.store(false, Ordering::Relaxed);
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, VecDeque<WaitingEvents>>> {
        self.topics.lock()
    }
}

fn size(events: &[OutgoingEvent]) -> (usize, usize) {
    (events.len(), events.iter().map(|event| event.data.len()).sum())
}

/// The metadata that gives the envelope of an event its id (`NewCloudEvent` in `pkg/runtime/pubsub/cloudevents.go`).
fn id_override(event: &OutgoingEvent) -> impl Iterator<Item = (String, String)> {
    event.id.iter().map(|id| ("cloudevent.id".to_owned(), id.to_string()))
}

fn entry(number: usize, event: &OutgoingEvent) -> proto::BulkPublishRequestEntry {
    // The request as a whole has one trace context, and each event another (`NewCloudEvent` in
    // `pkg/runtime/pubsub/cloudevents.go`).
    let traceparent = event.traceparent.iter();
    let metadata = traceparent.map(|it| ("cloudevent.traceparent".to_owned(), it.to_string()));
    let metadata = metadata.chain(id_override(event)).collect();
    proto::BulkPublishRequestEntry {
        entry_id: number.to_string(),
        event: event.data.to_vec(),
        content_type: content_type(&event.data).to_owned(),
        metadata,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{connection, fake};
    use super::*;

    /// A publisher of a sidecar that knows a method for many events by one name alone, and how often each was asked for.
    async fn publisher(
        known: &'static str,
    ) -> anyhow::Result<(Publisher, Arc<Mutex<HashMap<String, usize>>>)> {
        let asked = Arc::<Mutex<HashMap<String, usize>>>::default();
        let seen = asked.clone();
        let address = fake::sidecar(move |method, _| {
            *seen.lock().entry(method.to_owned()).or_default() += 1;
            let text =
                "failed to proxy request: required metadata dapr-callee-app-id or dapr-app-id not found";
            if method == known { Ok(Vec::new()) } else { Err(Status::unknown(text)) }
        })
        .await?;
        Ok((Publisher::new(connection::client(&address, None)?.0), asked))
    }

    #[tokio::test]
    async fn many_events_are_published_by_the_name_that_the_sidecar_knows() -> anyhow::Result<()> {
        for (known, expected) in
            [("BulkPublishEvent", [Some(3), None]), ("BulkPublishEventAlpha1", [Some(1), Some(3)])]
        {
            let (publisher, asked) = publisher(known).await?;
            for _ in 0..3 {
                let events = vec![OutgoingEvent { id: None, data: "{}".into(), traceparent: None }; 2];
                let results = publisher.publish(("p".into(), "t".into()), events).await;
                assert!(results.iter().all(Result::is_ok), "{known}: {results:?}");
            }
            let asked = asked.lock().clone();
            let times = ["BulkPublishEvent", "BulkPublishEventAlpha1"].map(|name| asked.get(name).copied());
            assert_eq!(times, expected, "{known}");
        }
        Ok(())
    }
}

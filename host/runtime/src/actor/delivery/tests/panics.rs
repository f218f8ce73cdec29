//! Defects of a backend, and of the host.

use super::*;
use crate::fake::DEFECT;

#[tokio::test(start_paused = true)]
async fn a_backend_that_panics_ends_no_lane() {
    let backend = FakeBackend::delivering(|name| {
        assert_ne!(name, "1", "the backend has a defect");
        Ok(())
    });
    let (tried, outbox) = delivered(&backend, &[("a", &["1"]), ("a", &["2"])]).await;
    assert_eq!(tried, ["1", "2"]);
    assert_eq!((outbox.counts().sent, outbox.counts().failed, outbox.counts().pending), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_panics_ends_no_other_and_goes_on() {
    let backend = FakeBackend::sound();
    let deliveries = Deliveries::new(backend.clone(), Arc::default(), options());
    let defect = |name: &str| {
        let (pubsub, topic) = ("p".to_owned(), DEFECT.to_owned());
        let request = EffectRequest::Publish { pubsub, topic, event: name.to_owned().into() };
        Effect { request, ..event(name) }
    };
    let _active = claimed(&deliveries, "a").await;
    // The host panics between the first two, with the first one in its hands.
    enqueue(&deliveries, "a", vec![defect("1"), defect("2"), sms()]);
    assert_eq!(backend.tried(), ["sms"]);
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
    assert_eq!(backend.tried(), ["sms", "2"]);
    enqueue(&deliveries, "b", vec![event("3")]);
    assert_eq!(backend.tried(), ["sms", "2", "3"], "this thread still lets effects leave at once");
}

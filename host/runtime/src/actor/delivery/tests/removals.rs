//! Removals that are due.

use super::*;

/// A text for a binding. It has more bytes than an event.
fn text(number: u32) -> Effect {
    let request = BindingRequest {
        name: "sms".into(),
        operation: "create".into(),
        data: "x".repeat(400).into(),
        metadata: [].into(),
    };
    Effect { request: EffectRequest::Send(request), ..event(&format!("text {number}")) }
}

/// The reminder's own commit writes nothing again of which most waits.
#[tokio::test(start_paused = true)]
async fn a_removal_that_failed_is_due_again_after_the_next_commit() {
    let backend = FakeBackend::delivering(|name| if name == "sms" { Err(away()) } else { Ok(()) });
    let deliveries = new(&backend, patient());
    let _active = claimed(&deliveries, "a").await;
    let pairs = (0..100).flat_map(|number: u32| [event(&number.to_string()), text(number)]);
    enqueue(&deliveries, "a", pairs.collect());
    let due = AtomicU32::new(0);
    let fails = |_: ActorAddress| {
        due.fetch_add(1, Ordering::Relaxed);
        std::future::ready(())
    };
    let watched = async || {
        let both = async { tokio::join!(deliveries.look_for_removals(), deliveries.removals().run(&fails)) };
        assert!(tokio::time::timeout(MINUTE / 2, both).await.is_err());
        due.swap(0, Ordering::Relaxed)
    };
    assert!(watched().await > 0);
    while watched().await > 0 {}
    turn(&deliveries, "a", &[]).await;
    assert_eq!(watched().await, 1);
}

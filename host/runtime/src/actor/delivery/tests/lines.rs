//! The lines of the log about effects.

use super::*;
use crate::fake::AT_ONCE;
use crate::imports::LINE_BYTES;

#[tokio::test(start_paused = true)]
async fn lines_about_effects_count_for_the_agent_type_and_none_is_dropped_uncounted() {
    let backend = FakeBackend::delivering(|name| match name {
        "never" | "nor this" => Err(Error::Invalid("no such topic".into())),
        _ => Ok(()),
    });
    let deliveries = Deliveries::new(backend.clone(), Arc::default(), options());
    let weights = [("A".into(), 1)].into_iter().collect::<Weights>();
    let two_lines = 2 * (LINE_BYTES + "it left".len());
    let rate = SharedRate::new("bytes of the log a second", two_lines, &weights);
    deliveries.set_log_rate(&rate);
    let said = |name: &str| Effect {
        delivered_line: Some("it left".to_owned()),
        undeliverable_line: Some("it never left".to_owned()),
        ..event(name)
    };
    let at_once =
        EffectRequest::Publish { pubsub: "p".into(), topic: AT_ONCE.into(), event: "at once".into() };
    let _active = claimed(&deliveries, "a").await;
    enqueue(&deliveries, "a", vec![Effect { request: at_once, ..said("at once") }, said("1")]);
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
    assert_eq!((rate.uses()[0].used, rate.refused("A")), (two_lines, 0));
    enqueue(&deliveries, "a", vec![said("2"), said("never")]);
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
    assert_eq!(rate.refused("A"), 2, "one line a second says that effects are given up");
    enqueue(&deliveries, "a", vec![said("nor this")]);
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
    assert_eq!(rate.refused("A"), 4);
    assert_eq!(backend.tried(), ["at once", "1", "2", "never", "nor this"]);
}

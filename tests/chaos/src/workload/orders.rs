//! What is asked next, drawn from the worker's own numbers.

use fastrand::Rng;

use super::context::{ACTORS, actor_name};
use crate::history::{Asked, Way};
use crate::wire::{CALL, KAFKA, Order};

/// The reminder that fires again and again.
const TICK_MS: u64 = 10_000;

/// A caller's next call.
pub(super) fn call(rng: &mut Rng, actor: usize, sequence: u64) -> Asked {
    let way = if rng.u32(0..100) < 60 { Way::Keyed } else { Way::Keyless };
    let order =
        Order { op: format!("c-{actor:02}-{sequence:05}"), kind: CALL.to_owned(), ..Order::default() };
    let (way, order) = match sequence {
        0 => (Way::Keyed, Order { tick_ms: Some(TICK_MS), ..order }),
        _ => extended(rng, actor, way, order),
    };
    Asked { actor: actor_name(actor), sequence, way, order }
}

/// The next message for an actor.
pub(super) fn message(rng: &mut Rng, actor: usize, sequence: u64) -> Asked {
    let order = Order {
        op: format!("k-{actor:02}-{sequence:05}"),
        kind: KAFKA.to_owned(),
        sms: rng.u32(0..100) < 20,
        ..Order::default()
    };
    Asked { actor: actor_name(actor), sequence, way: Way::Kafka, order }
}

/// What is asked beside the entry.
fn extended(rng: &mut Rng, actor: usize, way: Way, order: Order) -> (Way, Order) {
    match rng.u32(0..100) {
        0..40 => (way, order),
        40..60 => (way, Order { sms: true, ..order }),
        60..74 => (way, Order { tell: Some(actor_name(rng.usize(0..ACTORS))), ..order }),
        74..82 => (way, Order { pass: later_actor(rng, actor), ..order }),
        82..90 => (way, Order { remind_ms: Some(rng.u64(1_000..20_000)), ..order }),
        90..95 => (way, Order { timer_ms: Some(rng.u64(500..3_000)), ..order }),
        // It has all effects, and none of them may be seen. Repeated with a key, it would never be acknowledged.
        _ => {
            let tell = Some(actor_name(rng.usize(0..ACTORS)));
            (Way::Keyless, Order { sms: true, tell, trap: true, ..order })
        }
    }
}

/// Calls lead to actors with higher numbers alone: no two actors ever wait for each other.
fn later_actor(rng: &mut Rng, actor: usize) -> Option<String> {
    (actor + 1 < ACTORS).then(|| actor_name(rng.usize(actor + 1..ACTORS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64) -> Vec<Asked> {
        let mut rng = Rng::with_seed(seed);
        (0..1_000).map(|sequence| call(&mut rng, 3, sequence)).collect()
    }

    #[test]
    fn a_seed_is_one_sequence_of_calls_with_everything_in_it() {
        let calls = drawn(5);
        assert_eq!(calls, drawn(5));
        assert_ne!(calls, drawn(6));
        let orders = || calls.iter().map(|asked| &asked.order);
        assert!(
            orders().any(|order| order.remind_ms.is_some()) && orders().any(|order| order.timer_ms.is_some())
        );
        assert!(orders().any(|order| order.tell.is_some()) && orders().any(|order| order.sms));
        assert!(orders().filter_map(|order| order.pass.as_deref()).all(|other| other > "actor-03"));
        assert!(calls.iter().all(|asked| !asked.order.trap || asked.way == Way::Keyless));
    }
}

//! The rules of the run as a whole.

use super::world::{A, World, entry};
use crate::checker::{Known, Rule, Violation, bounds};
use crate::history::{HistoryEvent, Outcome, Way};
use crate::wire::{EVENT, Order, REMINDER, TIMER};

/// A run in which nothing worked, or in which everything is excused, is no good one.
#[test]
fn a_run_has_done_enough_to_tell_and_dapr_excuses_little() {
    let rules = |world: &World, violations: &[Violation]| {
        let wrong = bounds(&world.history, &world.seen, violations);
        wrong.into_iter().map(|violation| (violation.rule, violation.expected)).collect::<Vec<_>>()
    };
    let mut world = World::good();
    assert_eq!(rules(&world, &[]).len(), 7, "each kind of work is there once");
    for number in 0..5 {
        for (way, kind) in [(Way::Keyed, REMINDER), (Way::Keyless, EVENT), (Way::Kafka, TIMER)] {
            let op = format!("{way:?}-{number}");
            world.asked(500, &op, way, Order::default());
            world.answered(510, &op, Outcome::Kept(None));
            world.ledger().push(entry(0, kind, &op, "host1"));
            world.sms(&op, 0);
        }
    }
    assert!(rules(&world, &[]).is_empty());
    let unknown = |rule| Violation::new(rule, A, None, "one", "none".to_owned());
    let known = |rule| unknown(rule).explained(Some(Known::PlacementDoesNotWait));
    for rule in [Rule::Lost, Rule::Doubled, Rule::StaleRead, Rule::TwoPlaces, Rule::EffectLost] {
        let most = [vec![known(rule); 30], vec![known(Rule::Identity); 30], vec![unknown(rule); 30]].concat();
        assert!(rules(&world, &most).is_empty(), "{rule}");
        let wrong = rules(&world, &vec![known(rule); 31]);
        assert_eq!(wrong, [(Rule::TooMuchKnown, format!("at most 30 times: {rule}"))]);
    }
    // A long run may have more of what is common.
    for number in 0..1_600 {
        let op = format!("more-{number}");
        world.asked(600, &op, Way::Kafka, Order::default());
        world.note(610, HistoryEvent::Answered { op, outcome: Outcome::Kept(None) });
    }
    assert!(rules(&world, &vec![known(Rule::Lost); 80]).is_empty());
    assert_eq!(rules(&world, &vec![known(Rule::Lost); 81]).len(), 1);
    assert_eq!(rules(&world, &vec![known(Rule::Doubled); 33]).len(), 1);
}

//! The rules of effects and reminders.

use super::world::{A, B, World, entry};
use crate::checker::Rule;
use crate::seen::Ledger;
use crate::wire::{CALL, REMINDER, TIMER};

#[test]
fn an_effect_of_each_entry_has_come_with_one_identity_and_in_order() {
    let mut world = World::good();
    world.seen.events.remove(2);
    world.violates(&[Rule::EffectLost]);

    let mut world = World::good();
    world.seen.sms.clear();
    world.violates(&[Rule::EffectLost]);

    let mut world = World::good();
    world.announce(A, entry(0, CALL, "c0", "host1"));
    world.seen.events.last_mut().expect("there are events").id = "another".into();
    world.violates(&[Rule::Identity]);

    let mut world = World::good();
    world.seen.events.swap(0, 1);
    world.violates(&[Rule::EffectOrder]);
}

#[test]
fn an_event_and_a_call_arrive_at_the_other_actor_and_a_reminder_fires() {
    let mut world = World::good();
    world.seen.ledgers[1] = Ledger { actor: B.to_owned(), ..Ledger::default() };
    world.seen.events.retain(|event| event.recorded.actor == A);
    world.violates(&[Rule::Lost, Rule::EffectLost]);

    let mut world = World::good();
    world.ledger()[3].kind = TIMER.into();
    world.seen.events[3].recorded.entry.kind = TIMER.into();
    world.violates(&[Rule::ReminderLost]);

    let mut world = World::good();
    world.seen.without_ticks = vec![A.to_owned()];
    world.violates(&[Rule::ReminderLost]);
}

#[test]
fn a_reminder_that_fires_once_ends_in_the_end() {
    let mut world = World::good();
    for position in 5..10 {
        world.ledger().push(entry(position, REMINDER, "c1", "host1"));
        world.announce(A, entry(position, REMINDER, "c1", "host1"));
        world.seen.ledgers[0].count += 1;
    }
    world.violates(&[Rule::ReminderEndless]);
}

//! The checker: the guarantees, against the history and the state at the end. It asks nobody, so made-up histories test it.

mod books;
mod bounds;
mod effects;
mod entries;
mod facts;
mod places;
#[cfg(test)]
mod tests;
mod timers;
mod times;
mod told;
mod violation;

use books::Books;
use facts::Facts;

use crate::history::Record;
use crate::seen::Seen;

pub(crate) use bounds::bounds;
pub(crate) use violation::{Known, Rule, Violation};

/// Everything that is not as it was promised. A violation of a class that is known of Dapr is among them, and says so.
pub(crate) fn check(history: &[Record], seen: &Seen) -> Vec<Violation> {
    let facts = Facts::of(history);
    let books = Books::of(&facts, seen);
    let effects = [effects::check(&books), told::check(&books), timers::check(&books)].concat();
    [entries::check(&books), effects, places::check(&books)].concat()
}

/// May this violation go away by itself: is something still on its way?
pub(crate) fn may_come(violation: &Violation) -> bool {
    let rule = violation.rule;
    matches!(rule, Rule::Lost | Rule::EffectLost | Rule::ReminderLost | Rule::TwoPlaces | Rule::NotStored)
}

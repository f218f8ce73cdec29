//! Dead letters that would come back: an event that no subscription can handle must not circulate between topics forever.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use daca_base::ErrorCode;
use daca_model::Topic;

use super::problems::Problems;

/// Pub/sub component and topic.
type Name = (String, String);

/// From the topics that the manifest subscribes to, to the topics of their dead letters.
#[derive(Default)]
pub(super) struct DeadLetterGraph {
    edges: Vec<(Name, Name, Range<usize>)>,
}

impl DeadLetterGraph {
    /// Adds the dead-letter topic of a subscription, with its position.
    pub(super) fn add(&mut self, pubsub: &str, topic: &str, letters: &Topic, span: Range<usize>) {
        let to = (letters.pubsub.clone(), letters.topic.clone());
        self.edges.push(((pubsub.to_owned(), topic.to_owned()), to, span));
    }

    /// Reports the first subscription of each circle.
    pub(super) fn check(&self, problems: &mut Problems<'_>) {
        let mut next = BTreeMap::<&Name, Vec<&Name>>::new();
        for (from, to, span) in &self.edges {
            if reaches(&next, to, from) {
                let message = format!("the dead letters of {}/{} come back to it", from.0, from.1);
                problems.push(ErrorCode::ManifestInvalidRoute, span.clone(), message, || {
                    "give the last subscription of the chain no dead-letter, or another topic".into()
                });
                continue;
            }
            next.entry(from).or_default().push(to);
        }
    }
}

/// Returns `true` if dead letters of `start` arrive at `end`.
fn reaches<'a>(next: &BTreeMap<&'a Name, Vec<&'a Name>>, start: &'a Name, end: &Name) -> bool {
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![start]);
    while let Some(name) = waiting.pop() {
        if name == end {
            return true;
        }
        if seen.insert(name) {
            waiting.extend(next.get(name).into_iter().flatten());
        }
    }
    false
}

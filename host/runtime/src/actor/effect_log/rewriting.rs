//! How a commit shortens the segments of a log: it looks at their effects, and writes [those that are worth
//! it](super::segment) again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use daca_model::backend::{StateWrite, TurnCommit};

use super::EffectLog;
use super::entry::Entry;
use super::segment::{FoundSegment, Rewriting, SegmentChanges};
use super::stored::{self, segment_key};

/// The segments that a commit writes again, and what it leaves.
struct Rewritten {
    /// The bytes of their effects.
    sizes: Vec<(u64, usize)>,
    /// There was room for all that are worth it.
    is_all: bool,
    /// Nothing is left for a removal.
    is_clean: bool,
}

impl EffectLog {
    /// Looks at the effects in segments, and adds what is to be done to a commit. What the store does not have afterwards
    /// is added to `removed`, unless its segment goes. Returns the segments that the store has afterwards, too.
    pub(super) fn look(
        &self,
        in_segments: &[Entry],
        buried: &HashSet<Arc<str>>,
        rewriting: Rewriting,
        commit: &mut TurnCommit,
        removed: &mut HashSet<Arc<str>>,
    ) -> (BTreeSet<u64>, SegmentChanges) {
        // What ends from now on is for the next look.
        let ends = self.ends.load(Ordering::Acquire);
        let mut found = BTreeMap::<u64, FoundSegment<'_>>::new();
        // Each is looked at once: it may leave in the meantime.
        for entry in in_segments {
            if let Some(number) = entry.segment {
                found.entry(number).or_default().add(entry, entry.kept(buried), buried.contains(&entry.id));
            }
        }
        found.retain(|_, segment| !segment.kept.is_empty());
        let used = found.keys().copied().collect::<BTreeSet<_>>();
        let unused = self.segments.keys().filter(|number| !used.contains(*number));
        let unused = unused.copied().collect();
        let Rewritten { sizes, is_all, is_clean } = self.rewrite(found, rewriting, commit, removed);
        let (seen, clean) = (is_all.then_some(ends), is_clean.then_some(ends));
        (used, SegmentChanges { removed: unused, sizes, seen, clean })
    }

    /// Writes segments again without what they need not have any more, and adds that to `removed`: those with new dead
    /// letters, and of the others those that are worth it, as far as there is room.
    fn rewrite(
        &self,
        found: BTreeMap<u64, FoundSegment<'_>>,
        rewriting: Rewriting,
        commit: &mut TurnCommit,
        removed: &mut HashSet<Arc<str>>,
    ) -> Rewritten {
        let (mut sizes, mut room) = (Vec::new(), rewriting.most);
        let (mut is_all, mut is_clean) = (true, true);
        for (number, segment) in found {
            let size = self.segments.get(&number).copied().unwrap_or_default();
            if !segment.is_to_be_rewritten(size, room, rewriting) {
                is_all &= !segment.waits_for_room(size, rewriting);
                is_clean &= !segment.waits_for_room(size, Rewriting::OF_REMOVAL);
                continue;
            }
            let FoundSegment { kept, kept_bytes, gone, .. } = segment;
            room = room.saturating_sub(kept_bytes);
            removed.extend(gone.into_iter().cloned());
            let value = stored::text(&[], &kept);
            commit.writes.insert(segment_key(number), StateWrite::Set { value, ttl: None });
            sizes.push((number, kept_bytes));
        }
        Rewritten { sizes, is_all, is_clean }
    }
}

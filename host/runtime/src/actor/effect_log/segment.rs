//! Which segments a commit writes again. If a segment were written once, it would keep all of its effects until the last
//! one has left: one effect that waits for a day would keep, for that day, whatever was committed with it.
//!
//! A backlog may be long, so a turn does not look at the effects of segments unless a good part of them has ended since
//! the last look: [`EffectLog`](super::EffectLog) counts the ends.

use std::collections::BTreeSet;
use std::sync::Arc;

use daca_base::json::Document;

use super::entry::{Entry, LoggedEffect};

/// A turn looks at the segments if more than one part of so many of their effects has ended.
pub(super) const WORTH_A_LOOK: u64 = 8;

/// What a commit does to the segments.
#[derive(Default)]
pub(super) struct SegmentChanges {
    /// Those that the store has afterwards.
    pub(super) used: BTreeSet<u64>,
    /// Those whose effects have all left.
    pub(super) removed: Vec<u64>,
    /// Those that are written again, with the bytes of their effects.
    pub(super) sizes: Vec<(u64, usize)>,
    /// The number of ends when it looked. `None` if it did not, or had no room for all that is to be written again.
    pub(super) seen: Option<u64>,
}

/// What a commit finds in a segment.
#[derive(Default)]
pub(super) struct FoundSegment<'a> {
    /// The effects that the store must keep.
    pub(super) kept: Vec<&'a Document>,
    pub(super) kept_bytes: usize,
    /// The identities of the others.
    pub(super) gone: Vec<&'a Arc<str>>,
    has_buried: bool,
}

impl<'a> FoundSegment<'a> {
    pub(super) fn add(&mut self, entry: &'a Entry, kept: Option<&'a LoggedEffect>, is_buried: bool) {
        match kept {
            Some(effect) => {
                self.kept.push(&effect.text);
                self.kept_bytes += effect.text.bytes().len();
            }
            None => self.gone.push(&entry.id),
        }
        self.has_buried |= is_buried;
    }

    /// Returns `true` if the segment is to be written again once there is room for it.
    pub(super) fn waits_for_room(&self, size: usize, most: usize) -> bool {
        self.kept_bytes <= size / 2 && self.kept_bytes <= most
    }

    /// Returns `true` if the segment, which has effects of this size in the store, is to be written again. What becomes a
    /// dead letter must not stay in it: after a crash it would be sent from there, even if somebody has discarded it by
    /// then. Otherwise it must have become half as long, so that the writes are in proportion to what was stored, and fit
    /// into the room that is left.
    pub(super) fn is_to_be_rewritten(&self, size: usize, room: usize) -> bool {
        self.has_buried || (self.kept_bytes <= size / 2 && self.kept_bytes <= room)
    }
}

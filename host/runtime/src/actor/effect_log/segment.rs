//! Which segments a commit writes, and which of them again. If a segment were written once, it would keep all of its
//! effects until the last one has left: one effect that waits for a day would keep, for that day, whatever was committed
//! with it.
//!
//! A backlog may be long, so a turn does not look at the effects of segments unless a good part of them has ended since
//! the last look: the log counts the ends.

use std::sync::Arc;

use daca_base::json::Document;

use super::entry::{Entry, LoggedEffect};

/// The bytes of effects in the head. A longer backlog moves into a segment, which is written again only if it becomes much
/// shorter.
pub(super) const MAX_HEAD: usize = 16 * 1024;
/// A turn looks at the segments if more than one part of so many of their effects has ended.
pub(super) const WORTH_A_LOOK: u64 = 8;
/// The bytes of the effects of a segment, unless it has one alone. What has left of a longer one would lie in the store
/// for long: it could not be written again.
const MAX_SEGMENT: usize = 2 * MAX_HEAD;

/// A segment that takes effects of the head.
#[derive(Debug)]
pub(super) struct NewSegment {
    pub(super) number: u64,
    /// The number of its effects.
    pub(super) effects: usize,
    /// The bytes of its effects.
    pub(super) bytes: usize,
}

/// The segments that take all effects of a head which is too long. None if it is not.
pub(super) fn new_segments(in_head: &[&Document], last: u64) -> Vec<NewSegment> {
    let sizes = || in_head.iter().map(|text| text.bytes().len());
    let mut segments = Vec::<NewSegment>::new();
    if sizes().sum::<usize>() <= MAX_HEAD {
        return segments;
    }
    for bytes in sizes() {
        match segments.last_mut() {
            Some(segment) if segment.bytes + bytes <= MAX_SEGMENT => {
                segment.effects += 1;
                segment.bytes += bytes;
            }
            _ => {
                let number = last + 1 + segments.len() as u64;
                segments.push(NewSegment { number, effects: 1, bytes });
            }
        }
    }
    segments
}

/// Which segments a commit writes again, of those with effects that the store need not have any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rewriting {
    /// The bytes of effects that it writes for that.
    pub(super) most: usize,
    /// Also those of which most waits.
    is_whole: bool,
}

impl Rewriting {
    /// By a turn with effects.
    pub(super) const OF_TURN: Rewriting = Rewriting { most: MAX_HEAD / 4, is_whole: false };
    /// By the host, or by a turn without effects.
    pub(super) const OF_HOST: Rewriting = Rewriting { most: MAX_HEAD, is_whole: false };
    /// By a commit for many effects that have left, or for the last ones: nothing of them stays in the store.
    pub(super) const OF_REMOVAL: Rewriting = Rewriting { most: MAX_SEGMENT, is_whole: true };
}

/// What a commit does to the segments, for the log to follow once it has succeeded.
#[derive(Debug, Default)]
pub(super) struct SegmentChanges {
    /// Those whose effects have all left. They go with their entries.
    pub(super) removed: Vec<u64>,
    /// Those that it writes, with the bytes of their effects.
    pub(super) sizes: Vec<(u64, usize)>,
    /// The number of ends when it looked. `None` if it did not, or had no room for all that is to be written again.
    pub(super) seen: Option<u64>,
    /// The same number. `None` if it did not look, or left something for a removal.
    pub(super) clean: Option<u64>,
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

    /// Returns `true` if the segment, which has effects of this size in the store, is to be written again once there is
    /// room for it. Never for one that is longer than all room, as another release may have written.
    pub(super) fn waits_for_room(&self, size: usize, rewriting: Rewriting) -> bool {
        self.is_worth_it(size, rewriting) && self.kept_bytes <= rewriting.most
    }

    /// Returns `true` if the segment is to be written again, with so much room. What becomes a dead letter must not stay
    /// in it: after a crash it would be sent from there, even if somebody has discarded it by then.
    pub(super) fn is_to_be_rewritten(&self, size: usize, room: usize, rewriting: Rewriting) -> bool {
        self.has_buried || (self.is_worth_it(size, rewriting) && self.kept_bytes <= room)
    }

    /// It must have become half as long, so that the writes are in proportion to what was stored. A removal is in
    /// proportion to what has left.
    fn is_worth_it(&self, size: usize, rewriting: Rewriting) -> bool {
        match rewriting.is_whole {
            true => !self.gone.is_empty(),
            false => self.kept_bytes <= size / 2,
        }
    }
}

//! The parts of what agent types divide by weight.

/// One part in so many is divided in advance: the floors of the types.
pub(crate) const DIVIDED: u64 = 4;

/// The part of a whole for a weight among all weights.
pub(crate) fn part(whole: u64, weight: u64, all: u64) -> u64 {
    let part = u128::from(whole) * u128::from(weight) / u128::from(all.max(1));
    u64::try_from(part).unwrap_or(u64::MAX)
}

//! Releases of Dapr: which of those that somebody has installed the stack takes.

use std::fmt;

/// A release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release {
    major: u32,
    minor: u32,
    patch: u32,
}

/// The oldest release that is taken.
const OLDEST: Release = Release { major: 1, minor: 16, patch: 2 };
/// The newest line whose sources this project was written against.
const NEWEST_LINE: (u32, u32) = (1, 18);

impl Release {
    /// Reads what `daprd --version` prints. Builds that are no releases, such as `edge` and release candidates, have no
    /// number that says what they do.
    pub(crate) fn read(text: &str) -> Option<Release> {
        let mut numbers = text.trim().trim_start_matches('v').split('.');
        let mut number = || numbers.next()?.parse().ok();
        let release = Release { major: number()?, minor: number()?, patch: number()? };
        numbers.next().is_none().then_some(release)
    }

    /// Why the stack does not take it, or nothing.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        if (self.major, self.minor) == (OLDEST.major, OLDEST.minor) && self < OLDEST {
            // dapr#9133: the objects of actors are used again while somebody still holds them.
            return Some("while it ends an idle actor, it may deliver that actor's call to another one");
        }
        if self < OLDEST {
            return Some("it is older than 1.16.2");
        }
        let is_newer = (self.major, self.minor) > NEWEST_LINE;
        is_newer.then_some("the project does not know its line yet; it knows those up to 1.18")
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_from_1_16_2_to_the_line_1_18_are_taken() {
        for taken in ["1.16.2\n", "1.16.10", "1.17.0", "1.17.13", "v1.18.3"] {
            assert_eq!(Release::read(taken).map(Release::refusal), Some(None), "{taken}");
        }
        for refused in ["1.16.0", "1.16.1", "1.9.20", "1.15.12", "1.19.0", "2.0.0", "1.160.2"] {
            let refusal = Release::read(refused).and_then(Release::refusal);
            assert!(refusal.is_some(), "{refused}");
        }
        for none in ["edge", "", "1.16", "1.18.0-rc.1", "1.16.2.1"] {
            assert_eq!(Release::read(none), None, "{none}");
        }
    }
}

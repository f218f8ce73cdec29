//! Releases of Dapr with a fault that matters to the host.

/// The first release that delivers each call to its own actor, as major, minor and patch.
const SAFE: (u32, u32, u32) = (1, 16, 2);

/// Returns `true` for a release that may deliver a call to another actor: 1.16.0 and 1.16.1. They reuse the record of
/// an actor that ends while calls are still delivered through it (`Deactivate` in `pkg/actors/targets/app/app.go`).
/// Older releases were not examined, and count as unsafe. A name that is not a release, such as `edge`, counts as newer
/// than all of them.
pub(super) fn misdelivers(release: &str) -> bool {
    parse(release).is_some_and(|release| release < SAFE)
}

/// Returns `true` for this release and all later ones, but not for a name that is not a release.
pub(super) fn is_at_least(release: &str, least: (u32, u32, u32)) -> bool {
    parse(release).is_some_and(|release| release >= least)
}

/// Parses `1.16.2`, `v1.16.2` and `1.17.0-rc.1`.
fn parse(release: &str) -> Option<(u32, u32, u32)> {
    let numbers = release.trim_start_matches('v').split(['-', '+']).next()?;
    let mut numbers = numbers.split('.').map(|number| number.parse::<u32>().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_releases_that_misdeliver_are_known() {
        for (release, misdelivers) in [
            ("1.16.0", true),
            ("v1.16.1", true),
            ("1.15.9", true),
            ("1.16.2", false),
            ("1.17.0-rc.1", false),
            ("1.18.3", false),
            ("edge", false),
            ("", false),
        ] {
            assert_eq!(super::misdelivers(release), misdelivers, "{release}");
        }
    }

    #[test]
    fn releases_are_compared_by_their_numbers() {
        for (release, expected) in [
            ("1.16.2", false),
            ("1.17.0-rc.1", true),
            ("v1.18.3", true),
            ("2.0.0", true),
            ("1.9.9", false),
            ("edge", false),
            ("", false),
        ] {
            assert_eq!(super::is_at_least(release, (1, 17, 0)), expected, "{release:?}");
        }
    }
}

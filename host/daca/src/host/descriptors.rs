//! The connections for which the process has file descriptors. With none left, not even health would be answered, and no
//! file could be opened.

use daca_base::ErrorCode;
use daca_manifest::HostLimits;
use daca_runtime::component::most_image_files;
use rustix::process::{Resource, getrlimit};

use super::error::{Error, MIN_DESCRIPTORS};

/// The usual limit of a process. With fewer, each share is smaller.
const USUAL_DESCRIPTORS: usize = 1_024;
/// What is not for the connections of the application's port, besides the images of memories: those of the admin port, the
/// spare ones of both, and some ninety for files, the sidecar and compiler processes.
const OTHER_DESCRIPTORS: usize = 512;

/// The most connections of both ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// Connections of the application's port. Behind a sidecar there are as many again.
    pub(super) app: usize,
    /// Its spare connections. As many again may be ending.
    pub(super) app_spare: usize,
    /// The same for the operator's port.
    pub(super) admin: usize,
    pub(super) admin_spare: usize,
}

/// Fails if the process may open too few files to be a host.
pub(super) fn check() -> Result<(), Error> {
    let descriptors = limit();
    if descriptors < MIN_DESCRIPTORS { Err(Error::TooFewDescriptors(descriptors)) } else { Ok(()) }
}

/// The connections that the manifest wants, as far as there are descriptors for them.
pub(super) fn shares(limits: &HostLimits, behind_sidecar: bool) -> Shares {
    let descriptors = limit();
    let (wanted, allowed) = (limits.max_connections, allowed(descriptors, behind_sidecar));
    if wanted > allowed.app {
        // With the usual limits of a process and the default, this is no reason to worry.
        tracing::info!(
            code = ErrorCode::ConnectionsCapped.as_str(),
            "max-connections is {wanted}, and the limit of open files ({descriptors}) allows {0}: using {0}",
            allowed.app
        );
    }
    Shares { app: wanted.min(allowed.app), ..allowed }
}

/// The soft limit of open files, which the program has raised to the hard one.
fn limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

fn allowed(descriptors: usize, behind_sidecar: bool) -> Shares {
    let ports = if behind_sidecar { 2 } else { 1 };
    if descriptors >= USUAL_DESCRIPTORS {
        let app = (descriptors - OTHER_DESCRIPTORS - most_image_files(descriptors)) / ports;
        return Shares { app, app_spare: 128, admin: 100, admin_spare: 32 };
    }
    let part = descriptors / 32;
    Shares { app: part * 12 / ports, app_spare: part * 2, admin: part * 2, admin_spare: part }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_health_and_the_operator() {
        assert_eq!(allowed(1_024, false).app, 496);
        assert_eq!(allowed(1_024, true).app, 248);
        assert!(allowed(usize::MAX, true).app > 1_000_000);
        for descriptors in MIN_DESCRIPTORS..5_000 {
            for (behind_sidecar, ports) in [(false, 1), (true, 2)] {
                let Shares { app, app_spare, admin, admin_spare } = allowed(descriptors, behind_sidecar);
                assert!(app >= 48 && app_spare >= 16 && admin >= 16 && admin_spare >= 8, "{descriptors}");
                let of_connections = app * ports + 2 * app_spare + admin + 2 * admin_spare;
                let others = 90 + most_image_files(descriptors);
                assert!(of_connections + others <= descriptors, "{descriptors} {behind_sidecar}");
            }
        }
    }
}

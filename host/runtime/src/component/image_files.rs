//! The files of memory images. Each image that instances map is a file without a name (`memfd_create`), which is open as
//! long as its component is loaded. A process may have a limited number of files, and needs them for connections.

use std::sync::Arc;

use daca_base::ErrorCode;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::engine_options::MEMORIES_PER_COMPONENT;
use super::refusal::Refusal;

/// The part of the process's files that images may be, as a divisor.
const PART: usize = 64;
/// The images for which there is room in any case, and at most: most components have one.
const BOUNDS: (usize, usize) = (4, 256);

/// The images for which a process with so many file descriptors has room.
pub fn most_image_files(descriptors: usize) -> usize {
    (descriptors / PART).clamp(BOUNDS.0, BOUNDS.1)
}

/// The files of all images.
#[derive(Clone)]
pub(super) struct ImageFiles(Arc<Semaphore>);

impl ImageFiles {
    /// As many as the process's limit of open files allows.
    pub(super) fn new() -> ImageFiles {
        let limit = getrlimit(Resource::Nofile).current;
        let descriptors = limit.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        ImageFiles(Arc::new(Semaphore::new(most_image_files(descriptors))))
    }

    /// Reserves the files of a component with so many images. An instance has no more memories than the pool allows it.
    pub(super) fn reserve(&self, images: u32) -> Result<OwnedSemaphorePermit, Refusal> {
        let files = images.min(MEMORIES_PER_COMPONENT);
        self.0.clone().try_acquire_many_owned(files).map_err(|_none_left| {
            let message = "the limit of open files allows no further component with much data".to_owned();
            let help = "remove pins of old versions, or raise the limit: ulimit -n, or LimitNOFILE of a systemd unit";
            (ErrorCode::CompilerUnavailable, message, help)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_leave_the_files_to_connections() {
        assert_eq!([0, 256, 1_024, 4_096, usize::MAX].map(most_image_files), [4, 4, 16, 64, 256]);
        let files = ImageFiles(Arc::new(Semaphore::new(3)));
        let two = files.reserve(2).expect("two of three");
        assert!(files.reserve(2).is_err_and(|refusal| refusal.0 == ErrorCode::CompilerUnavailable));
        drop(two);
        assert!(files.reserve(3).is_ok() && files.reserve(0).is_ok());
    }
}

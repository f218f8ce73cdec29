//! What the kernel is told of the threads on which guests run.
//!
//! They share the processors with the threads that serve, and these are to run as soon as a request, an answer or a
//! commit wakes them. Since Linux 6.12 a thread can have a slice of its own: the kernel lets a thread that wakes run at
//! once if its slice is shorter than that of the running one (`PREEMPT_SHORT` in `kernel/sched/features.h`). Without
//! that it waits for the end of a slice, some milliseconds each time. A longer slice is no smaller share of the
//! processors. A higher nice value or `SCHED_IDLE` would be one, beside other programs, too.

use std::time::Duration;

/// The slice. Longer than the kernel's usual one, of 0.7 to 2.8 ms.
const SLICE: Duration = Duration::from_millis(5);

/// Gives the calling thread its slice. If that fails, or the kernel is older, the host serves more slowly while guests
/// are busy.
pub(super) fn lengthen_slice() {
    // The nice value would be set to 0 otherwise, which takes rights.
    let nice = rustix::process::getpriority_process(None).unwrap_or(0);
    let mut attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0),
        sched_policy: 0,
        // The policy above does not count.
        sched_flags: libc::SCHED_FLAG_KEEP_POLICY as u64,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: u64::try_from(SLICE.as_nanos()).unwrap_or(0),
        sched_deadline: 0,
        sched_period: 0,
    };
    let (this_thread, flags): (libc::pid_t, libc::c_uint) = (0, 0);
    #[expect(unsafe_code, reason = "no library has this system call for threads without a deadline")]
    // SAFETY: the kernel reads `size` bytes of the attributes, and writes its own size there if it does not know so many.
    // They are of this function alone, and outlive the call.
    let failed = unsafe {
        libc::syscall(libc::SYS_sched_setattr, this_thread, std::ptr::from_mut(&mut attributes), flags) != 0
    };
    if failed {
        tracing::debug!("the threads of guests have the usual slice: {}", std::io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that is nice stays so.
    #[test]
    fn a_thread_keeps_its_nice_value() {
        let nice = || {
            rustix::process::nice(3).expect("a thread may become nicer");
            let before = rustix::process::getpriority_process(None).expect("a nice value");
            lengthen_slice();
            (before, rustix::process::getpriority_process(None).expect("a nice value"))
        };
        let (before, after) = std::thread::spawn(nice).join().expect("it has not panicked");
        assert_eq!(before, after);
    }
}

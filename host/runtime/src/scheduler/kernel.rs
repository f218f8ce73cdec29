//! What the kernel is told of the threads on which guests run.
//!
//! They share the processors with the threads that serve, and these are to run as soon as a request, an answer or a
//! commit wakes them. Since Linux 6.12 a thread can have a slice of its own: the kernel lets a thread that wakes run at
//! once if its slice is shorter than that of the running one (`PREEMPT_SHORT` in `kernel/sched/features.h`). Without
//! that it waits for the end of a slice, some milliseconds each time. A longer slice is no smaller share of the
//! processors.
//!
//! One wake-up in a hundred is not helped by that. A thread that has slept for less time than it ran before has had more
//! than its part for the moment, and waits for the kernel's tick. A higher nice value of the guests' threads makes that
//! part larger, and is a smaller share of the processors beside other programs, too. So it is a setting.

use std::time::Duration;

/// The slice. Longer than the kernel's usual one, of 0.7 to 2.8 ms.
const SLICE: Duration = Duration::from_millis(5);
/// The kernel's largest nice value.
const MAX_NICE: i32 = 19;

/// Gives the calling thread its slice, and adds to its nice value. If that fails, or the kernel is older, the host serves
/// more slowly while guests are busy.
pub(super) fn give_way(nice: u8) {
    // To set a lower value than the present one takes rights.
    let nice =
        rustix::process::getpriority_process(None).unwrap_or(0).saturating_add(nice.into()).min(MAX_NICE);
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
        tracing::debug!(
            "the threads of guests have the usual slice and nice value: {}",
            std::io::Error::last_os_error()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that is nice stays so, and its guests are nicer by what is asked, as far as there is more.
    #[test]
    fn guests_are_nicer_than_their_program() {
        let nice_after = |asked| {
            let of_thread = move || {
                rustix::process::nice(3).expect("a thread may become nicer");
                let before = rustix::process::getpriority_process(None).expect("a nice value");
                give_way(asked);
                (before, rustix::process::getpriority_process(None).expect("a nice value"))
            };
            std::thread::spawn(of_thread).join().expect("it has not panicked")
        };
        for asked in [0, 10, 19] {
            let (before, after) = nice_after(asked);
            assert_eq!(after, (before + i32::from(asked)).min(MAX_NICE), "{asked}");
        }
    }
}

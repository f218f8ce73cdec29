//! The memory of the machine: how much this process may use, how much it uses, and how it gives some back.
//!
//! The allocator is the C library's. It keeps what was freed, and gives back little by itself: the end of each arena,
//! and large pieces as long as none was ever freed, after which it takes larger and larger ones for small. So the host
//! fixes what is large, whose memory then always goes back at once, and has the rest returned when much of it is free
//! ([`give_back`]). jemalloc and mimalloc return memory by themselves, after some time, but need a C compiler for each
//! target, and would not be the allocator that the tests of the C library's other users know.

use std::path::Path;

/// The smallest budget: the program itself, and the cache of the state file, take about as much as that.
pub const MIN_BUDGET: u64 = 128 * 1024 * 1024;
/// Pieces of at least so many bytes are mapped one by one, and go back to the system when they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE_PIECE: i32 = 1024 * 1024;
/// The free bytes at the end of an arena from which on it is shortened.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FREE_END: i32 = 16 * 1024 * 1024;

/// The budget of a host whose manifest has none: three quarters of what the control group allows, or half of the
/// machine's memory.
pub fn default_budget() -> u64 {
    part_of(machine_memory(), group_limit())
}

fn part_of(machine: Option<u64>, group: Option<u64>) -> u64 {
    let parts = [machine.map(|bytes| bytes / 2), group.map(|bytes| bytes / 4 * 3)];
    // Without a limit, the group's is larger than any machine.
    parts.into_iter().flatten().min().unwrap_or(MIN_BUDGET).max(MIN_BUDGET)
}

/// The bytes of this process that are in memory, without what it shares: images of memories, each of which the kernel counts
/// once for every instance that has read it, and the host once. `None` if the system does not tell.
pub fn resident() -> Option<u64> {
    resident_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_of(status: &str) -> Option<u64> {
    // Kernels before 4.5 do not tell them apart.
    let shared = kibibytes(status, "RssShmem:").unwrap_or_default();
    kibibytes(status, "VmRSS:").map(|all| all.saturating_sub(shared))
}

fn machine_memory() -> Option<u64> {
    kibibytes(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// The value of a line such as `VmRSS:  1024 kB`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    number.checked_mul(1024)
}

/// The least limit of this process's control group and of those around it.
fn group_limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().filter_map(|line| limit_of(line, Path::new("/sys/fs/cgroup"))).min()
}

/// The limit of a group, as a line of `/proc/self/cgroup` names it: `0::/path` of version 2, `4:memory:/path` of
/// version 1.
fn limit_of(line: &str, root: &Path) -> Option<u64> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let (root, file) = match controllers {
        "" => (root.to_owned(), "memory.max"),
        other if other.split(',').any(|one| one == "memory") => {
            (root.join("memory"), "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let own = root.join(path.trim_start_matches('/'));
    // In a container, the path may be one of the machine, which is not there; the root is then the container's.
    let groups = own.ancestors().take_while(|group| group.starts_with(&root));
    let limits = groups.filter_map(|group| std::fs::read_to_string(group.join(file)).ok());
    // Without a limit, version 2 has the word `max` there.
    limits.filter_map(|text| text.trim().parse::<u64>().ok()).min()
}

/// Has the allocator give large pieces back as soon as they are freed. Called once, at the start.
pub fn prepare_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        for (parameter, value) in [(libc::M_MMAP_THRESHOLD, LARGE_PIECE), (libc::M_TRIM_THRESHOLD, FREE_END)]
        {
            #[expect(unsafe_code, reason = "std has no way to set up the allocator")]
            // SAFETY: it takes two numbers, and may be called at any time from any thread (`man 3 mallopt`).
            let is_set = unsafe { libc::mallopt(parameter, value) };
            if is_set == 0 {
                tracing::debug!("the allocator does not take parameter {parameter}");
            }
        }
    }
}

/// Gives the free memory of the allocator back to the system. May take some milliseconds, in which others wait for
/// memory.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(unsafe_code, reason = "std has no way to shrink the heap")]
        // SAFETY: it takes a number, and may be called at any time from any thread (`man 3 malloc_trim`).
        let _has_given = unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * 1024 * 1024;

    #[test]
    fn the_default_is_a_part_of_the_group_or_the_machine() {
        assert_eq!(part_of(Some(8 * GIB), None), 4 * GIB);
        assert_eq!(part_of(Some(8 * GIB), Some(GIB)), GIB / 4 * 3);
        // Version 1 says so without a limit.
        assert_eq!(part_of(Some(8 * GIB), Some(u64::MAX / 4096 * 4096)), 4 * GIB);
        assert_eq!(part_of(Some(GIB), Some(1024)), MIN_BUDGET);
        assert_eq!(part_of(None, None), MIN_BUDGET);
    }

    #[test]
    fn sizes_of_proc_are_read() {
        let text = "Name:\tdaca\nVmRSS:\t    2048 kB\nVmData: x\n";
        assert_eq!(kibibytes(text, "VmRSS:"), Some(2 * 1024 * 1024));
        assert_eq!(kibibytes(text, "VmData:"), None);
        assert_eq!(resident_of(text), Some(2 * 1024 * 1024));
        assert_eq!(resident_of(&format!("{text}RssShmem:\t 1024 kB\n")), Some(1024 * 1024));
        assert_eq!(kibibytes(text, "VmSwap:"), None);
        assert!(resident().is_some_and(|bytes| bytes > 0));
        assert!(default_budget() >= MIN_BUDGET);
    }
}

//! The allocator of the program: mimalloc. A call makes many small pieces, and many of them are freed by
//! another thread than the one that made them, for which the C library's allocator takes locks.
//!
//! It keeps what was freed, as that of the C library does. So what is large is mapped piece by piece, whose memory then
//! goes back at once, and the host has the rest returned when much of it is free ([`machine::give_back`]).

use std::ffi::c_long;

use daca_base::memory::machine;
use libmimalloc_sys::{mi_collect, mi_option_set, mi_option_t};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The option `arena_max_object_size`, of which the crate has no name: its place in `mi_option_e` of `mimalloc.h`.
const MAX_PIECE_OF_ARENA: mi_option_t = 45;
/// Pieces of more kibibytes are mapped one by one, and go back to the system when they are freed.
const LARGE_PIECE: c_long = 1024;

/// Sets up the allocator. Called once, at the start, by the only thread.
pub(crate) fn prepare() {
    #[expect(unsafe_code, reason = "the crate has no safe way to set up the allocator")]
    // SAFETY: it takes two numbers, and checks the first one. No other thread reads options yet.
    unsafe {
        mi_option_set(MAX_PIECE_OF_ARENA, LARGE_PIECE);
    }
    machine::give_back_with(collect);
}

/// Returns what is free to the system.
fn collect() {
    #[expect(unsafe_code, reason = "the crate has no safe way to shrink the heap")]
    // SAFETY: it takes a flag, and may be called at any time from any thread.
    unsafe {
        mi_collect(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// With all of its pages in memory.
    fn piece(mebibytes: u64) -> Vec<u8> {
        vec![1; usize::try_from(mebibytes * MIB).unwrap_or(0)]
    }

    fn resident() -> u64 {
        machine::resident().expect("the system tells it")
    }

    #[test]
    fn memory_goes_back_large_pieces_at_once_and_small_ones_when_they_are_collected() {
        prepare();
        let before = resident();
        let large = piece(256);
        assert!(resident() > before + 192 * MIB);
        drop(large);
        assert!(resident() < before + 64 * MIB, "a large piece goes back at once");
        let small: Vec<Vec<u8>> = (0..65_536).map(|_| vec![1; 4096]).collect();
        assert!(resident() > before + 192 * MIB);
        drop(small);
        machine::give_back();
        assert!(resident() < before + 64 * MIB, "small pieces are returned");
    }
}

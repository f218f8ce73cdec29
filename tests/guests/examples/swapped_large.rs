//! Like `swapped_v1`, with so much data that the host maps it rather than copies it. No instance may see what another one
//! has written there, and a loop must end at its time limit as it does in a small component.

#[path = "shared/swapped.rs"]
#[macro_use]
mod swapped;

use std::hint::black_box;
use std::sync::atomic::{AtomicU8, Ordering};

const SIZE: usize = 1024 * 1024;
/// Not zero, or it would be no data of the file.
static DATA: [AtomicU8; SIZE] = [const { AtomicU8::new(90) }; SIZE];

#[derive(Deserialize)]
struct At {
    at: usize,
}

swapped! {
    version: "large",
    entries: u64, under "entries",
    traps_in_methods: false,
    traps_in_activate: false,
    {
        /// Adds one to a byte of the data. Answers what it was before.
        pub fn count(&mut self, place: At) -> Result<u8, Failure> {
            let byte = DATA.get(place.at).ok_or_else(|| Failure::invalid("there is no such byte"))?;
            Ok(byte.fetch_add(1, Ordering::Relaxed))
        }

        /// Never returns.
        #[method(name = "Loop")]
        pub fn spin(&mut self) -> Result<(), Failure> {
            loop {
                black_box(());
            }
        }
    }
}

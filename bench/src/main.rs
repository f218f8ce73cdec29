//! Measures the host beside what people would use instead, in one run, on one machine, with the same servers.
//!
//! Figures of different runs say little: machines are shared and noisy. So every measure starts the host and its peer in
//! the same run, in turn, and what counts is the ratio. [`load`] asks, [`process`] reads what a process costs,
//! [`report`] keeps what was measured; each measure is a module of its own.

mod load;
mod process;
mod report;

fn main() {}

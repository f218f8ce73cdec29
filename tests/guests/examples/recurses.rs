//! Calls itself without end. The host must fail the turn with a status 500, and serve the actor's next turn with a new
//! instance.

use std::hint::black_box;

use daca_sdk::{Failure, agent, state};

#[derive(Default)]
struct Recurses;

#[agent]
impl Recurses {
    /// Writes `recursed`, which must not last, and fills the stack. Half a kilobyte of it is in the guest's memory for
    /// each call; the rest, where wasm keeps locals and return addresses, is the host's.
    pub fn recurse(&mut self) -> Result<u64, Failure> {
        state::set("recursed", &true)?;
        Ok(deeper(black_box(1), &[0; 64]))
    }

    /// Recurses in the host's stack alone, so that the guest's own is not what ends first.
    pub fn recurse_in_host_stack(&mut self) -> Result<u64, Failure> {
        state::set("recursed", &true)?;
        Ok(count(black_box(1)))
    }

    /// Answers whether something was kept under `recursed`.
    pub fn fine(&self) -> Result<Option<bool>, Failure> {
        Ok(state::get("recursed")?)
    }
}

/// The frame is used after the call as well, so that no optimiser can make a loop of it.
#[inline(never)]
#[allow(unconditional_recursion, reason = "it is what this guest is for")]
fn deeper(depth: u64, above: &[u64; 64]) -> u64 {
    let mut frame = [depth; 64];
    frame[black_box(depth as usize % 64)] = above[black_box(0)];
    let below = deeper(black_box(depth + 1), black_box(&frame));
    below.wrapping_add(black_box(&frame)[black_box(1)])
}

/// Multiplies after the call, by what the call may not know: neither a tail call nor an accumulator.
#[inline(never)]
#[allow(unconditional_recursion, reason = "it is what this guest is for")]
fn count(depth: u64) -> u64 {
    let below = count(depth.wrapping_mul(3) | 1);
    (below ^ depth).rotate_left((below % 64) as u32).wrapping_mul(depth)
}

//! Wants more memory than there is. The host must refuse to grow it beyond the limit, so that the turn fails with a
//! status 500 and the host itself does not grow, and serve the actor's next turn with a new instance.

use std::hint::black_box;

use daca_sdk::{Failure, agent, state};

#[derive(Default)]
struct Allocates {
    held: Vec<Vec<u8>>,
}

#[agent]
impl Allocates {
    /// Writes `allocated`, which must not last, and grows one block without end.
    pub fn one_block(&mut self) -> Result<(), Failure> {
        state::set("allocated", &true)?;
        let mut block = Vec::new();
        loop {
            block.extend_from_slice(&[1u8; 64 * 1024]);
            black_box(&block);
        }
    }

    /// Writes `allocated`, which must not last, and takes small pieces without end.
    pub fn many_pieces(&mut self) -> Result<(), Failure> {
        state::set("allocated", &true)?;
        loop {
            self.held.push(black_box(vec![1; 100]));
        }
    }

    /// Takes this many megabytes for as long as the instance lives, if they are there. Answers whether they were.
    pub fn hold(&mut self, megabytes: usize) -> Result<bool, Failure> {
        let mut block = Vec::new();
        if block.try_reserve_exact(megabytes * 1_000_000).is_err() {
            return Ok(false);
        }
        block.resize(megabytes * 1_000_000, 1);
        self.held.push(black_box(block));
        Ok(true)
    }

    /// Answers whether something was kept under `allocated`.
    pub fn fine(&self) -> Result<Option<bool>, Failure> {
        Ok(state::get("allocated")?)
    }
}

//! Free ports.
//!
//! A server here is stopped and started again on its port, so a port must stay free in between. The system gives outgoing
//! connections ports from 32768 on; those given here lie below. They are handed out from blocks, and a block belongs to one
//! process at a time, by a locked file: two test runs on one machine never try the same port.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use anyhow::bail;

const FIRST: u16 = 20_000;
const BLOCK: u16 = 200;
const BLOCKS: u16 = 60;

/// The blocks of this process, and the place of the next port in the last of them.
static TAKEN: Mutex<Taken> = Mutex::new(Taken { blocks: Vec::new(), next: BLOCK });

struct Taken {
    /// The number of a block, and the file whose lock makes it ours.
    blocks: Vec<(u16, File)>,
    next: u16,
}

/// A port that nobody listens on. None is given twice by one process.
pub fn free() -> anyhow::Result<u16> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if taken.next == BLOCK {
            take_block(&mut taken)?;
        }
        let first = taken.blocks.last().map_or(0, |(number, _)| FIRST + number * BLOCK);
        let port = first + taken.next;
        taken.next += 1;
        if is_free(port) {
            return Ok(port);
        }
    }
}

fn take_block(taken: &mut Taken) -> anyhow::Result<()> {
    for number in 0..BLOCKS {
        if taken.blocks.iter().any(|(own, _)| *own == number) {
            continue;
        }
        let path = std::env::temp_dir().join(format!("daca-stack-ports-{number}.lock"));
        let Ok(file) = OpenOptions::new().create(true).truncate(false).write(true).open(path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            taken.blocks.push((number, file));
            taken.next = 0;
            return Ok(());
        }
    }
    bail!("all ports from {FIRST} to {} are in use by other runs", FIRST + BLOCK * BLOCKS)
}

/// Does nobody listen on this port, on any address?
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice_and_none_that_is_taken() -> anyhow::Result<()> {
        let first = free()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, first))?;
        assert!(!is_free(first));
        drop(listener);
        assert_ne!(first, free()?);
        Ok(())
    }
}

//! Free ports.
//!
//! A server here is stopped and started again on its port, so a port must stay free in between. The system gives outgoing
//! connections ports from 32768 on; those given here lie below. Each is tried, and none is given twice by one process.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::bail;

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// How many ports this process has looked at.
static LOOKED_AT: AtomicU16 = AtomicU16::new(0);

/// A port that nobody listens on.
pub fn free() -> anyhow::Result<u16> {
    // Processes that run at the same time begin at different places.
    let start = std::process::id().wrapping_mul(101) % u32::from(COUNT);
    loop {
        let step = LOOKED_AT.fetch_add(1, Ordering::Relaxed);
        if step >= COUNT {
            bail!("no port of {FIRST} to {} is left", FIRST + COUNT);
        }
        let offset = (start + u32::from(step)) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset)?;
        if is_free(port) {
            return Ok(port);
        }
    }
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

//! Where a port listens.

use std::net::SocketAddr;

use daca_server as server;
use tokio::net::TcpListener;

use super::error::Error;

/// Listens on an address; `option` sets it.
pub(super) fn listen(address: SocketAddr, option: &'static str) -> Result<TcpListener, Error> {
    server::listen(address).map_err(|reason| Error::Listen { address, option, reason })
}

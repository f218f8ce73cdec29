//! The connections of a port: their maximum number, in total and for one peer, and their eviction.
//!
//! When all permits are taken, the longest idle connection is evicted: one that waits for a next request, or has not
//! sent its first. When none is idle, some spare connections are accepted. They serve health checks only, for one
//! request each, and answer everything else 503. Spare connections are evicted as well, but each has a moment to send
//! its request. While none can be evicted, new connections wait in the kernel's backlog, first in, first out. So a
//! health check always gets an answer, whatever others do.
//!
//! A peer that has all its permits is treated as if all were taken. Peers on this machine have no such limit. Behind a
//! sidecar they have the same number of permits again, which nobody else takes: the sidecar's calls come from there,
//! and a refused one may never be repeated.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::connection::{Activity, Connection, CurrentHead};
use daca_base::clock::millis;

/// The time that a spare connection may be silent before it is evicted. A client that connects and sends at once is
/// answered within it. 500 clients that reconnect permanently delay another one by a second, not forever.
const SPARE_SILENCE: Duration = Duration::from_millis(250);

/// The minimum wait for a permit that has not been returned yet.
const MOMENT: Duration = Duration::from_millis(5);

/// All connections of a port.
pub(super) struct Connections {
    max: usize,
    max_of_peer: usize,
    behind_sidecar: bool,
    start: Instant,
    registry: Mutex<Registry>,
    /// Notified when a permit is returned.
    returned: Notify,
}

#[derive(Default)]
struct Registry {
    next_id: u64,
    all: HashMap<u64, Arc<Connection>>,
    spare: usize,
    /// The maximum of those that serve health checks only, and of those that are leaving: they hold no permit.
    max_spare: usize,
    of_sidecar: usize,
    of_peers: HashMap<IpAddr, usize>,
    /// Evicted connections that have not ended yet. They are read for a moment more.
    leaving: HashSet<u64>,
}

/// No permit is available now.
#[derive(Debug)]
struct Full {
    /// The longest wait for one, unless all spare connections are being answered.
    again_in: Duration,
}

/// A permit. Dropping it returns it.
pub(super) struct ConnectionPermit {
    connections: Arc<Connections>,
    id: u64,
    pub(super) connection: Arc<Connection>,
}

impl Connections {
    pub(super) fn new(
        max: usize,
        max_of_peer: usize,
        max_spare: usize,
        behind_sidecar: bool,
    ) -> Arc<Connections> {
        let registry = Mutex::new(Registry { max_spare, ..Registry::default() });
        let returned = Notify::new();
        Arc::new(Connections { max, max_of_peer, behind_sidecar, start: Instant::now(), registry, returned })
    }

    /// A permit for a connection, as soon as there is one.
    pub(super) async fn acquire(self: &Arc<Self>, peer: IpAddr) -> ConnectionPermit {
        loop {
            match self.admit(peer, Instant::now()) {
                Ok(permit) => return permit,
                Err(Full { again_in }) => {
                    tokio::time::timeout(again_in, self.returned.notified()).await.ok(); // asks again in both cases
                }
            }
        }
    }

    /// A permit for a new connection, or the time to ask again.
    fn admit(self: &Arc<Self>, peer: IpAddr, now: Instant) -> Result<ConnectionPermit, Full> {
        let peer = key(peer);
        let mut registry = self.registry();
        let of_peer = peer.and_then(|peer| registry.of_peers.get(&peer)).copied().unwrap_or_default();
        let of_sidecar = self.behind_sidecar && peer.is_none();
        let is_full = registry.taken(of_sidecar) >= self.max;
        let is_spare = if of_peer >= self.max_of_peer {
            !registry.evict(|one| !one.is_spare && one.peer == peer)?
        } else {
            is_full && !registry.evict(|one| !one.is_spare && one.of_sidecar == of_sidecar)?
        };
        let now = millis(now.saturating_duration_since(self.start));
        let is_spare_full = registry.spare >= registry.max_spare;
        if is_spare && is_spare_full && !registry.evict(|one| one.is_spare && had_time(&one.activity, now))? {
            return Err(registry.full(now));
        }
        let connection = Arc::new(Connection {
            peer,
            of_sidecar,
            is_spare,
            evicted: CancellationToken::new(),
            head: CurrentHead::default(),
            activity: Activity::new(self.start, now),
        });
        let id = registry.add(connection.clone());
        drop(registry);
        Ok(ConnectionPermit { connections: self.clone(), id, connection })
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock()
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connections.registry().end(self.id);
        self.connections.returned.notify_one();
    }
}

impl Registry {
    /// The permits in use: the sidecar's, or all others.
    fn taken(&self, of_sidecar: bool) -> usize {
        if of_sidecar { self.of_sidecar } else { self.all.len() - self.spare - self.of_sidecar }
    }

    fn add(&mut self, connection: Arc<Connection>) -> u64 {
        self.next_id += 1;
        if connection.is_spare {
            self.spare += 1;
        } else if connection.of_sidecar {
            self.of_sidecar += 1;
        } else if let Some(peer) = connection.peer {
            *self.of_peers.entry(peer).or_default() += 1;
        }
        self.all.insert(self.next_id, connection);
        self.next_id
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Connection>> {
        let connection = self.all.remove(&id)?;
        if connection.is_spare {
            self.spare -= 1;
        } else if connection.of_sidecar {
            self.of_sidecar -= 1;
        } else if let Some(peer) = connection.peer
            && let Some(count) = self.of_peers.get_mut(&peer)
        {
            *count -= 1;
            if *count == 0 {
                self.of_peers.remove(&peer);
            }
        }
        Some(connection)
    }

    fn end(&mut self, id: u64) {
        if self.remove(id).is_none() {
            self.leaving.remove(&id);
        }
    }

    /// The time when the oldest silent spare connection may be evicted.
    fn full(&self, now: u64) -> Full {
        let silent = self.all.values().filter(|one| one.is_spare && one.activity.is_idle());
        let since = silent.map(|one| one.activity.idle_since()).min().unwrap_or(now);
        let silence = Duration::from_millis(now.saturating_sub(since));
        // Not at once: evictable connections may have to wait for those that are leaving.
        Full { again_in: SPARE_SILENCE.saturating_sub(silence).max(MOMENT) }
    }

    /// Evicts the longest idle connection. Returns `false` if none is idle. Waits where too many are leaving: each does within a
    /// second, since it gets no further request answered.
    fn evict(&mut self, may_go: impl Fn(&Connection) -> bool) -> Result<bool, Full> {
        let idle = self.all.iter().filter(|(_, one)| may_go(one) && one.activity.is_idle());
        let Some(id) = idle.min_by_key(|(_, one)| one.activity.idle_since()).map(|(id, _)| *id) else {
            return Ok(false);
        };
        if self.leaving.len() >= self.max_spare {
            return Err(Full { again_in: MOMENT });
        }
        if let Some(connection) = self.remove(id) {
            self.leaving.insert(id);
            connection.evicted.cancel();
        }
        Ok(true)
    }
}

/// Returns `true` if a connection has sent the head of a request, or had the time to.
fn had_time(activity: &Activity, now: u64) -> bool {
    let silence = Duration::from_millis(now.saturating_sub(activity.idle_since()));
    activity.requests() > 0 || silence >= SPARE_SILENCE
}

/// The unit that counts as one peer: an IPv4 address, or an IPv6 network, since a machine has all addresses of it.
fn key(peer: IpAddr) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    match peer {
        _ if peer.is_loopback() => None,
        IpAddr::V4(_) => Some(peer),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
    }
}

#[cfg(test)]
mod tests;

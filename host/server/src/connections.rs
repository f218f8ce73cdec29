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
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

/// The time that a spare connection may be silent before it is evicted. A client that connects and sends at once is
/// answered within it. 500 clients that reconnect permanently delay another one by a second, not forever.
const SPARE_SILENCE: Duration = Duration::from_millis(250);

/// The minimum wait for a permit that has not been returned yet.
const MOMENT: Duration = Duration::from_millis(5);

/// All connections of a port.
pub(super) struct Connections {
    most: usize,
    most_of_peer: usize,
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

/// A connection, as the admission sees it.
pub(super) struct Connection {
    /// The peer whose permit it takes; `None` for a peer on this machine.
    pub(super) peer: Option<IpAddr>,
    /// `true` if it takes one of the sidecar's permits.
    pub(super) of_sidecar: bool,
    /// `true` if it serves health checks only.
    pub(super) is_spare: bool,
    /// Cancelled when it is evicted.
    pub(super) evicted: CancellationToken,
    /// The dropped lines of the current head.
    cut_lines: AtomicUsize,
    /// The permit of the current large head.
    pub(super) large_head: Mutex<Option<OwnedSemaphorePermit>>,
    start: Instant,
    requests: AtomicU64,
    handled: AtomicUsize,
    received: AtomicUsize,
    /// A part of an answer may still have to be written. hyper drops the answer as soon as it is in its buffer.
    is_unsent: AtomicBool,
    /// Milliseconds since the start.
    idle_since: AtomicU64,
    /// The reader has waited for the client since the last request began.
    has_waited: AtomicBool,
}

/// No permit is available now.
#[derive(Debug)]
struct Full {
    /// The longest wait for one, unless all spare connections are being answered.
    again_in: Duration,
}

/// A permit. Dropping it returns it.
pub(super) struct Permit {
    connections: Arc<Connections>,
    id: u64,
    pub(super) connection: Arc<Connection>,
}

impl Connections {
    pub(super) fn new(
        most: usize,
        most_of_peer: usize,
        max_spare: usize,
        behind_sidecar: bool,
    ) -> Arc<Connections> {
        let registry = Mutex::new(Registry { max_spare, ..Registry::default() });
        let returned = Notify::new();
        Arc::new(Connections {
            most,
            most_of_peer,
            behind_sidecar,
            start: Instant::now(),
            registry,
            returned,
        })
    }

    /// A permit for a connection, as soon as there is one.
    pub(super) async fn place(self: &Arc<Self>, peer: IpAddr) -> Permit {
        loop {
            match self.admit(peer, Instant::now()) {
                Ok(place) => return place,
                Err(Full { again_in }) => {
                    // Retried in both cases.
                    let _elapsed = tokio::time::timeout(again_in, self.returned.notified()).await;
                }
            }
        }
    }

    /// A permit for a new connection, or the time to ask again.
    fn admit(self: &Arc<Self>, peer: IpAddr, now: Instant) -> Result<Permit, Full> {
        let peer = key(peer);
        let mut registry = self.registry();
        let of_peer = peer.and_then(|peer| registry.of_peers.get(&peer)).copied().unwrap_or_default();
        let of_sidecar = self.behind_sidecar && peer.is_none();
        let is_full = registry.taken(of_sidecar) >= self.most;
        let is_spare = if of_peer >= self.most_of_peer {
            !registry.evict(|one| !one.is_spare && one.peer == peer)?
        } else {
            is_full && !registry.evict(|one| !one.is_spare && one.of_sidecar == of_sidecar)?
        };
        let now = milliseconds(now.saturating_duration_since(self.start));
        let is_spare_full = registry.spare >= registry.max_spare;
        if is_spare && is_spare_full && !registry.evict(|one| one.is_spare && one.had_time(now))? {
            return Err(registry.full(now));
        }
        let connection = Arc::new(Connection {
            peer,
            of_sidecar,
            is_spare,
            evicted: CancellationToken::new(),
            cut_lines: AtomicUsize::new(0),
            large_head: Mutex::default(),
            start: self.start,
            requests: AtomicU64::new(0),
            handled: AtomicUsize::new(0),
            received: AtomicUsize::new(0),
            is_unsent: AtomicBool::new(false),
            idle_since: AtomicU64::new(now),
            has_waited: AtomicBool::new(true),
        });
        let id = registry.add(connection.clone());
        drop(registry);
        Ok(Permit { connections: self.clone(), id, connection })
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock()
    }
}

impl Drop for Permit {
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
        let silent = self.all.values().filter(|one| one.is_spare && one.is_idle());
        let since = silent.map(|one| one.idle_since.load(Ordering::Relaxed)).min().unwrap_or(now);
        let silence = Duration::from_millis(now.saturating_sub(since));
        // Not at once: evictable connections may have to wait for those that are leaving.
        Full { again_in: SPARE_SILENCE.saturating_sub(silence).max(MOMENT) }
    }

    /// Evicts the longest idle connection. Returns `false` if none is idle. Waits where too many are leaving: each does within a
    /// second, since it gets no further request answered.
    fn evict(&mut self, may_go: impl Fn(&Connection) -> bool) -> Result<bool, Full> {
        let idle = self.all.iter().filter(|(_, one)| may_go(one) && one.is_idle());
        let Some(id) = idle.min_by_key(|(_, one)| one.idle_since.load(Ordering::Relaxed)).map(|(id, _)| *id)
        else {
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

impl Connection {
    /// No request is being handled, and all answers are written. The rest of an unwanted body may still be arriving.
    pub(super) fn is_idle(&self) -> bool {
        self.handled.load(Ordering::Acquire) == 0 && !self.is_unsent.load(Ordering::Acquire)
    }

    /// It has sent the head of a request, or had the time to.
    fn had_time(&self, now: u64) -> bool {
        let silence = Duration::from_millis(now.saturating_sub(self.idle_since.load(Ordering::Relaxed)));
        self.requests() > 0 || silence >= SPARE_SILENCE
    }

    /// A client that has closed its sending side still gets its answer. To the server it looks like a client that is
    /// gone, whose call is otherwise cut off. A sidecar cuts calls off in this way, and must not be misunderstood. So
    /// behind a sidecar other clients on its machine get no answer, either: nothing distinguishes them from it.
    pub(super) fn may_half_close(&self) -> bool {
        !self.of_sidecar
    }

    /// The time since which it has been waiting for the head of a request.
    pub(super) fn waits_for_head_since(&self) -> Option<Instant> {
        let waits = self.is_idle() && self.reads_head();
        waits.then(|| self.start + Duration::from_millis(self.idle_since.load(Ordering::Relaxed)))
    }

    /// Requests whose heads have arrived.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns `true` if the head of a request is arriving.
    pub(super) fn reads_head(&self) -> bool {
        self.handled.load(Ordering::Relaxed) == 0 && self.received.load(Ordering::Relaxed) == 0
    }

    /// Counts dropped lines of the current head.
    pub(super) fn cut(&self, lines: usize) {
        self.cut_lines.fetch_add(lines, Ordering::Relaxed);
    }

    /// Ends the current head. Returns the number of its dropped lines.
    pub(super) fn take_cut(&self) -> usize {
        self.cut_lines.swap(0, Ordering::Relaxed)
    }

    /// Everything in hyper's buffer is written.
    pub(super) fn sent(&self) {
        if self.is_unsent.load(Ordering::Relaxed) {
            self.rests();
            self.is_unsent.store(false, Ordering::Release);
        }
    }

    fn rests(&self) {
        self.idle_since.store(milliseconds(self.start.elapsed()), Ordering::Relaxed);
    }

    /// The reader waits for the client.
    pub(super) fn note_wait(&self) {
        self.has_waited.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if the request that begins was there before the previous one had its answer.
    pub(super) fn is_pipelined(&self) -> bool {
        !self.has_waited.swap(false, Ordering::Relaxed)
    }

    /// A request is handled until this is dropped, with the answer's body.
    pub(super) fn handle(self: &Arc<Self>) -> Handled {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.handled.fetch_add(1, Ordering::Relaxed);
        Handled(self.clone())
    }

    /// A body arrives until this is dropped.
    pub(super) fn receive(self: &Arc<Self>) -> Received {
        self.received.fetch_add(1, Ordering::Relaxed);
        Received(self.clone())
    }
}

/// See [`Connection::handle`].
pub(super) struct Handled(Arc<Connection>);

impl Drop for Handled {
    fn drop(&mut self) {
        self.0.is_unsent.store(true, Ordering::Relaxed);
        self.0.handled.fetch_sub(1, Ordering::Release);
    }
}

/// See [`Connection::receive`].
pub(super) struct Received(Arc<Connection>);

impl Drop for Received {
    fn drop(&mut self) {
        self.0.rests();
        self.0.received.fetch_sub(1, Ordering::Relaxed);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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

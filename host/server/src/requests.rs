//! The requests in flight of each agent type: what it has of the connections.
//!
//! Each request has a connection until it is answered, so a type whose requests wait for long would have all of them in
//! the end. The types share them by their weights. Behind a sidecar there are two such pools, as there are twice as many
//! connections ([`connections`](super::connections)): the calls that the sidecar delivers must not wait for the requests
//! that have caused them.
//!
//! A route tells the type before the body is read, so a slow body counts for it, and none is read of a request that is
//! refused. So does the path of a subscription that calls an agent. A sidecar's callback counts when it was read. A
//! connection without a request is of no type.

use std::net::IpAddr;

use daca_base::shares::{SharePermit, SharedPool, Weights};
use daca_model::CallError;

/// Counts the requests of each agent type at the application's port, and bounds them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Requests {
    /// Those of everybody else.
    others: SharedPool,
    /// Those on the connections that a sidecar has for itself.
    of_sidecar: Option<SharedPool>,
}

impl Requests {
    /// For so many connections, and behind a sidecar for as many again.
    pub fn new(max_connections: usize, behind_sidecar: bool, weights: &Weights) -> Requests {
        let of_sidecar = || SharedPool::new("requests of the sidecar", max_connections, weights);
        Requests {
            others: SharedPool::new("requests", max_connections, weights),
            of_sidecar: behind_sidecar.then(of_sidecar),
        }
    }

    /// Counts a request for an agent type until the result is dropped, or refuses it.
    pub(super) fn begin(&self, agent_type: &str, peer: Option<IpAddr>) -> Result<SharePermit, CallError> {
        match peer {
            Some(peer) if peer.to_canonical().is_loopback() => self.begin_of_sidecar(agent_type),
            _ => begin_in(&self.others, agent_type),
        }
    }

    /// The same for one that only a sidecar sends.
    pub(super) fn begin_of_sidecar(&self, agent_type: &str) -> Result<SharePermit, CallError> {
        begin_in(self.of_sidecar.as_ref().unwrap_or(&self.others), agent_type)
    }

    /// The requests in flight of a type.
    pub(super) fn in_flight(&self, agent_type: &str) -> usize {
        self.pools().map(|pool| pool.used_by(agent_type)).sum()
    }

    /// What the agent types share.
    pub(super) fn pools(&self) -> impl Iterator<Item = &SharedPool> {
        [&self.others].into_iter().chain(&self.of_sidecar)
    }
}

impl Default for Requests {
    /// Without a bound, where there are no connections.
    fn default() -> Requests {
        Requests::new(usize::MAX, false, &Weights::default())
    }
}

/// What is used up altogether is not refused here: the connections have a bound of their own.
fn begin_in(pool: &SharedPool, agent_type: &str) -> Result<SharePermit, CallError> {
    match pool.try_acquire(agent_type, 1) {
        Ok(permit) => Ok(permit),
        Err(held_back) if held_back.is_beyond => Err(CallError::ShareExceeded(held_back)),
        Err(_) => Ok(pool.charge(agent_type, 1)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOCAL: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    const REMOTE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));

    fn requests(types: &[&str], max_connections: usize, behind_sidecar: bool) -> Requests {
        let weights = types.iter().map(|name| ((*name).into(), 1)).collect::<Weights>();
        Requests::new(max_connections, behind_sidecar, &weights)
    }

    fn all_of(requests: &Requests, agent_type: &str, peer: Option<IpAddr>) -> Vec<SharePermit> {
        std::iter::from_fn(|| requests.begin(agent_type, peer).ok()).take(100).collect()
    }

    #[test]
    fn a_type_whose_requests_wait_leaves_connections_to_its_neighbours() {
        let requests = requests(&["Hog", "Neighbour"], 16, false);
        let hog = all_of(&requests, "Hog", REMOTE);
        assert_eq!(hog.len(), 14, "16 without the floor of its neighbour");
        assert!(matches!(requests.begin("Hog", LOCAL), Err(CallError::ShareExceeded(_))));
        let neighbour = [requests.begin("Neighbour", REMOTE), requests.begin("Neighbour", LOCAL)];
        assert!(neighbour.iter().all(Result::is_ok));
        assert_eq!((requests.in_flight("Hog"), requests.in_flight("Neighbour")), (14, 2));
        drop((hog, neighbour));
        assert_eq!(requests.in_flight("Hog"), 0);
    }

    #[test]
    fn the_calls_that_a_sidecar_delivers_do_not_wait_for_the_requests_that_caused_them() {
        let requests = requests(&["Hog", "Neighbour"], 16, true);
        let outside = all_of(&requests, "Hog", REMOTE);
        let inside = all_of(&requests, "Hog", LOCAL);
        assert_eq!((outside.len(), inside.len()), (14, 14));
        assert!(requests.begin_of_sidecar("Hog").is_err());
        assert!(requests.begin_of_sidecar("Neighbour").is_ok());
        assert_eq!(requests.in_flight("Hog"), 28);
    }

    #[test]
    fn a_type_alone_has_everything_and_the_connections_refuse_the_rest() {
        let requests = requests(&["A"], 2, false);
        assert_eq!(all_of(&requests, "A", REMOTE).len(), 100);
    }
}

//! The rates of routes: how many requests of one caller are accepted (GCRA, the generic cell rate algorithm).
//!
//! A caller has one number: the time until which its requests have used up the rate. A caller whose time has passed is
//! forgotten. The table is bounded; when it is full, the caller goes that has used least. So nobody gets rid of its own
//! used rate without as many callers that have used up theirs.
//!
//! Answers have the fields of draft-ietf-httpapi-ratelimit-headers-11.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::answer::HttpError;
use daca_base::ErrorCode;
use daca_manifest::{Rate, RateBy};
use daca_model::ActorAddress;

/// The callers of one route that are known at the same time.
const MAX_CALLERS: usize = 100_000;
/// The fields of the draft.
const POLICY: &str = "ratelimit-policy";
const LIMIT: &str = "ratelimit";

/// Counts the callers of a route.
pub(super) struct RateLimiter {
    rate: Rate,
    /// Nanoseconds between two requests of a caller that keeps to the rate.
    interval: u64,
    /// Nanoseconds.
    window: u64,
    start: Instant,
    /// Callers are known by two hashes that nobody can foresee.
    hashers: [RandomState; 2],
    callers: Mutex<Callers>,
    most: usize,
}

type Caller = (u64, u64);

/// The times until which the rates are used up, in nanoseconds since the start.
#[derive(Default)]
struct Callers {
    by_caller: HashMap<Caller, u64>,
    by_time: BTreeSet<(u64, Caller)>,
}

/// Where a caller stands after its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) is_accepted: bool,
    /// The requests that are left.
    left: u64,
    /// Seconds until there is one more.
    more_in: u64,
}

impl RateLimiter {
    pub(super) fn new(rate: Rate) -> RateLimiter {
        let window = u64::try_from(rate.window.as_nanos()).unwrap_or(u64::MAX);
        let interval = (window / u64::from(rate.requests.max(1))).max(1);
        RateLimiter {
            interval,
            // A whole number of intervals, so that the first request finds the whole rate.
            window: interval.saturating_mul(u64::from(rate.requests)),
            rate,
            start: Instant::now(),
            hashers: [RandomState::new(), RandomState::new()],
            callers: Mutex::default(),
            most: MAX_CALLERS,
        }
    }

    /// Counts a request before its body is read, if its caller is known by then.
    pub(super) fn count_early(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<Standing> {
        match &self.rate.by {
            RateBy::Actor => None,
            RateBy::Peer => {
                Some(self.count(&peer.map(group).map(|group| group.octets()).unwrap_or_default()))
            }
            RateBy::Header(name) => {
                let value = headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
                Some(self.count(value))
            }
        }
    }

    /// Counts a request of an actor.
    pub(super) fn count_actor(&self, actor: &ActorAddress) -> Option<Standing> {
        // A route calls one agent type.
        (self.rate.by == RateBy::Actor).then(|| self.count(actor.id.as_bytes()))
    }

    fn count(&self, caller: &[u8]) -> Standing {
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let [first, second] = &self.hashers;
        let caller = (first.hash_one(caller), second.hash_one(caller));
        self.callers.lock().count(caller, now, self)
    }

    /// The refusal of a request.
    pub(super) fn refusal(&self, standing: Standing) -> HttpError {
        let Rate { requests, window, by } = &self.rate;
        let caller = match by {
            RateBy::Actor => "of this actor".to_owned(),
            RateBy::Peer => "of this address".to_owned(),
            RateBy::Header(name) => format!("with this value of the header {name}"),
        };
        let (seconds, wait) = (window.as_secs(), standing.more_in);
        let detail = format!(
            "This route accepts {requests} requests {caller} in {seconds} s. Call again in {wait} s."
        );
        HttpError::new(ErrorCode::RateExceeded, detail)
    }

    /// Adds the fields of an answer.
    pub(super) fn describe(&self, standing: Standing, headers: &mut HeaderMap) {
        let name = match &self.rate.by {
            RateBy::Actor => "actor",
            RateBy::Peer => "peer",
            RateBy::Header(_) => "header",
        };
        let Standing { is_accepted, left, more_in } = standing;
        let policy = format!("\"{name}\";q={};w={}", self.rate.requests, self.rate.window.as_secs());
        let fields = [(POLICY, policy), (LIMIT, format!("\"{name}\";r={left};t={more_in}"))];
        for (field, value) in fields {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(field, value);
            }
        }
        if !is_accepted {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(more_in));
        }
    }
}

impl Callers {
    fn count(&mut self, caller: Caller, now: u64, limiter: &RateLimiter) -> Standing {
        let RateLimiter { interval, window, most, .. } = limiter;
        self.forget(now);
        let used_until = self.by_caller.get(&caller).copied();
        let begins = used_until.unwrap_or(now).max(now);
        let next = begins.saturating_add(*interval);
        let is_accepted = next - now <= *window;
        let until = if is_accepted { next } else { begins };
        let free = window.saturating_sub(until - now);
        let left = free / interval;
        // A request that was refused waits for a whole interval to be free.
        let more_in = Duration::from_nanos((left + 1).saturating_mul(*interval).saturating_sub(free));
        if is_accepted {
            self.set(caller, used_until, until, *most);
        }
        let more_in = more_in.as_nanos().div_ceil(1_000_000_000);
        Standing { is_accepted, left, more_in: u64::try_from(more_in).unwrap_or(u64::MAX).max(1) }
    }

    /// Forgets callers that may use the whole rate again.
    fn forget(&mut self, now: u64) {
        while let Some((until, caller)) = self.by_time.first().copied()
            && until <= now
        {
            self.by_time.pop_first();
            self.by_caller.remove(&caller);
        }
    }

    fn set(&mut self, caller: Caller, before: Option<u64>, until: u64, most: usize) {
        if let Some(before) = before {
            self.by_time.remove(&(before, caller));
        } else if self.by_caller.len() >= most
            && let Some((_, least)) = self.by_time.pop_first()
        {
            self.by_caller.remove(&least);
        }
        self.by_caller.insert(caller, until);
        self.by_time.insert((until, caller));
    }
}

/// The addresses that count as one: an IPv6 client has at least 64 bits of them for itself.
fn group(peer: IpAddr) -> std::net::Ipv6Addr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => (u128::from(address) >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(requests: u32, most: usize) -> RateLimiter {
        let rate = Rate { requests, window: Duration::from_secs(60), by: RateBy::Peer };
        RateLimiter { most, ..RateLimiter::new(rate) }
    }

    /// The requests of a caller that are accepted at once.
    fn accepted(limiter: &RateLimiter, caller: &str) -> usize {
        (0..100).filter(|_| limiter.count(caller.as_bytes()).is_accepted).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_has_its_rate_and_no_more_and_does_not_lose_that_of_others() {
        let limiter = limiter(6, 10);
        assert_eq!((accepted(&limiter, "a"), accepted(&limiter, "b")), (6, 6));
        let standing = limiter.count(b"a");
        assert_eq!(standing, Standing { is_accepted: false, left: 0, more_in: 10 });
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(accepted(&limiter, "a"), 1);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(limiter.count(b"a"), Standing { is_accepted: true, left: 5, more_in: 10 });
        assert_eq!(limiter.callers.lock().by_caller.len(), 1, "the others are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_table_forgets_who_has_used_least() {
        let limiter = limiter(6, 10);
        assert_eq!(accepted(&limiter, "hog"), 6);
        for number in 0..1_000 {
            assert!(limiter.count(format!("caller {number}").as_bytes()).is_accepted);
        }
        assert_eq!(accepted(&limiter, "hog"), 0);
        let callers = limiter.callers.lock();
        assert_eq!((callers.by_caller.len(), callers.by_time.len()), (10, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_have_the_fields_of_the_draft() {
        let limiter = limiter(6, 10);
        let standing = limiter.count(b"a");
        let mut headers = HeaderMap::new();
        limiter.describe(standing, &mut headers);
        assert_eq!(headers[POLICY], "\"peer\";q=6;w=60");
        assert_eq!(headers[LIMIT], "\"peer\";r=5;t=10");
        assert!(!headers.contains_key(header::RETRY_AFTER));
        accepted(&limiter, "a");
        let refused = limiter.count(b"a");
        limiter.describe(refused, &mut headers);
        assert_eq!(headers[LIMIT], "\"peer\";r=0;t=10");
        assert_eq!(headers[header::RETRY_AFTER], "10");
    }

    #[test]
    fn an_ipv6_client_is_one_caller() {
        let group_of = |text: &str| text.parse::<IpAddr>().map(group).ok();
        assert_eq!(group_of("2001:db8::1"), group_of("2001:db8::2:3:4"));
        assert_ne!(group_of("2001:db8::1"), group_of("2001:db8:0:1::1"));
        assert_ne!(group_of("192.0.2.1"), group_of("192.0.2.2"));
        assert_eq!(group_of("192.0.2.1"), group_of("::ffff:192.0.2.1"));
    }
}

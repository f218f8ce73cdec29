//! The proof that a call between hosts is one: a seal that only hosts of the same app can make.
//!
//! A sidecar delivers the calls of every app that reaches it, and an agent may name any method. The calls by which one
//! host asks another for the effects of its actors change what is sent, and show what may be secret. So each has a seal:
//! HMAC-SHA-256 over the method, the actor, the time, a number that is used once, and the request, with a [`key`] that the
//! first host puts into the state that the hosts share. Dapr keeps the values of one app apart from those of others, and no
//! agent can name them. A seal holds for some minutes, for one call ([`seen`]). Each host remembers those that it has seen
//! itself.

mod key;
mod seen;

use std::sync::Arc;

use bytes::Bytes;
use daca_base::clock::{Clock, unix_ms};
use daca_base::{ErrorCode, json};
use daca_model::admin::EffectsRequest;
use daca_model::backend::{self, EFFECTS_METHOD, SharedStore, stored_json};
use daca_model::{ActorAddress, CallError};
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use self::key::{Key, SharedKey};
use self::seen::{SEAL_TIME, Seal, SealedCall, SeenSeals};
use super::log_limit::LogLimit;

/// The maximum length of a sealed request in bytes.
const MAX_SEALED: usize = 8 * 1024;

/// Makes and checks the seals of this host. Cheap to clone.
#[derive(Clone)]
pub struct HostSeal {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    key: SharedKey,
    clock: Clock,
    seen: Arc<SeenSeals>,
    refused: LogLimit,
}

impl Inner {
    /// The time that another host can compare with its own, in milliseconds since 1970. A time that never goes back is that of
    /// one process: it stays ahead of all others once a clock that was ahead has been set right.
    fn now(&self) -> u64 {
        unix_ms(self.clock.wall())
    }
}

/// A request with its seal.
#[derive(Serialize, Deserialize)]
struct Sealed {
    /// Milliseconds since 1970.
    at: u64,
    /// Makes two seals of the same request differ.
    nonce: String,
    /// The JSON of the request: the seal is over its bytes.
    request: String,
    /// In hexadecimal digits.
    seal: String,
}

impl HostSeal {
    /// The seals of the hosts that share this store. A single host shares none, and calls nobody.
    pub fn new(store: Option<Arc<dyn SharedStore>>) -> HostSeal {
        HostSeal::with_clock(store, Clock::of_process().clone())
    }

    fn with_clock(store: Option<Arc<dyn SharedStore>>, clock: Clock) -> HostSeal {
        let inner = |store| {
            let (key, seen, refused) = (SharedKey::new(store), Arc::default(), LogLimit::every_second());
            Arc::new(Inner { key, clock, seen, refused })
        };
        HostSeal { inner: store.map(inner) }
    }

    /// The payload of a call with this request. `None` if there are no other hosts.
    pub(super) async fn close(
        &self,
        actor: &ActorAddress,
        request: &EffectsRequest,
    ) -> Result<Option<Bytes>, backend::Error> {
        let Some(inner) = &self.inner else { return Ok(None) };
        let key = inner.key.get().await?;
        let request = stored_json(request)?;
        let request = String::from_utf8_lossy(&request).into_owned();
        let (at, nonce) = (inner.now(), daca_model::new_id());
        let seal = mac(&key, &sealed_text(actor, at, &nonce, &request)).finalize().into_bytes();
        stored_json(&Sealed { at, nonce, request, seal: hex::encode(seal) }).map(Some)
    }

    /// The request of a call that has arrived, if a host has made it, and made it once. `mark` is that of the call. The
    /// second value is dropped when the call ends.
    pub(super) async fn open(
        &self,
        actor: &ActorAddress,
        method: &str,
        payload: &Bytes,
        mark: Option<&Arc<str>>,
    ) -> Result<(EffectsRequest, SealedCall), CallError> {
        let refused = || CallError::MethodReserved(method.chars().take(64).collect());
        let inner = self.inner.as_ref().ok_or_else(refused)?;
        let is_readable = method == EFFECTS_METHOD && payload.len() <= MAX_SEALED;
        let sealed = json::read_object::<Sealed>(payload).ok().filter(|_| is_readable);
        // What is too old needs no key.
        if let Some(sealed) = sealed.filter(|sealed| is_recent(sealed, inner.now())) {
            let key = inner.key.get().await.map_err(|error| CallError::Backend(error.as_not_applied()))?;
            if let Some((request, seal)) = unsealed(&key, actor, &sealed)
                && let Some(call) = inner.seen.accept(seal, mark)
            {
                return Ok((request, call));
            }
        }
        if let Some(left_out) = inner.refused.admit() {
            let code = ErrorCode::MethodReserved.as_str();
            tracing::warn!(code, %actor, left_out, "a call of a method of the hosts had no seal of a host, or a used one, and was refused");
        }
        Err(refused())
    }
}

fn is_recent(sealed: &Sealed, now: u64) -> bool {
    u128::from(now.abs_diff(sealed.at)) <= SEAL_TIME.as_millis()
}

/// The request, and its seal, if that is right.
fn unsealed(key: &Key, actor: &ActorAddress, sealed: &Sealed) -> Option<(EffectsRequest, Seal)> {
    let Sealed { at, nonce, request, seal } = sealed;
    let seal = Seal::try_from(hex::decode(seal).ok()?).ok()?;
    // In constant time.
    mac(key, &sealed_text(actor, *at, nonce, request)).verify_slice(&seal).ok()?;
    Some((json::read(request.as_bytes()).ok()?, seal))
}

/// An address has no line break and JSON of a host has none, so nothing else has the same text.
fn sealed_text(actor: &ActorAddress, at: u64, nonce: &str, request: &str) -> String {
    format!("{EFFECTS_METHOD}\n{actor}\n{at}\n{nonce}\n{request}")
}

/// HMAC-SHA-256 (RFC 2104) of a text, to be finished or compared.
fn mac(key: &Key, text: &str) -> Hmac<Sha256> {
    // The key is as long as half a block, so it is used as it is.
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    Hmac::<Sha256>::new(&block.into()).chain_update(text)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use daca_base::clock::moved::Machine;
    use daca_model::admin::{EffectsAction, EffectsChange, EffectsPage};
    use daca_model::backend::{SharedValue, SharedWriteError};
    use parking_lot::Mutex;

    use super::*;

    fn actor(text: &str) -> ActorAddress {
        text.parse().expect("an address")
    }

    /// The first case of RFC 4231, section 4.2.
    #[test]
    fn the_code_is_that_of_the_standard() {
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex::encode(mac(&key, "Hi There").finalize().into_bytes()), expected);
    }

    fn sealed(key: &Key, at: u64, request: &str) -> Sealed {
        let nonce = "n".to_owned();
        let seal = mac(key, &sealed_text(&actor("A/a"), at, &nonce, request)).finalize().into_bytes();
        Sealed { at, nonce, request: request.to_owned(), seal: hex::encode(seal) }
    }

    #[test]
    fn only_what_a_host_has_sealed_for_this_actor_a_moment_ago_is_answered() {
        let (key, now) = ([7; 32], 1_000_000_000);
        let request = EffectsRequest::Change(EffectsChange { action: EffectsAction::Discard, id: None });
        let text = serde_json::to_string(&request).expect("it is JSON");
        let good = || sealed(&key, now, &text);
        let opened =
            |sealed: &Sealed, id: &str| unsealed(&key, &actor(id), sealed).map(|(request, _)| request);
        assert_eq!(opened(&good(), "A/a"), Some(request));
        assert_eq!(opened(&good(), "A/b"), None, "another actor");
        assert_eq!(opened(&sealed(&[8; 32], now, &text), "A/a"), None, "another key");
        assert_eq!(opened(&Sealed { at: now + 1, ..good() }, "A/a"), None, "another time");
        assert_eq!(opened(&Sealed { nonce: "m".to_owned(), ..good() }, "A/a"), None);
        assert_eq!(opened(&Sealed { request: text.replace("discard", "retry"), ..good() }, "A/a"), None);
        assert_eq!(opened(&Sealed { seal: String::new(), ..good() }, "A/a"), None);
        assert!(is_recent(&good(), now + 300_000) && is_recent(&good(), now - 300_000));
        assert!(!is_recent(&good(), now + 300_001), "too old");
    }

    /// A store that has the key, unless it is away.
    #[derive(Default)]
    struct Store {
        value: Mutex<Option<Bytes>>,
        is_away: AtomicBool,
        reads: AtomicU32,
    }

    #[async_trait]
    impl SharedStore for Store {
        async fn read(&self, _: &[String]) -> Result<Vec<Option<SharedValue>>, backend::Error> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            if self.is_away.load(Ordering::Relaxed) {
                return Err(backend::Error::Unavailable("it is away".into()));
            }
            let value = self.value.lock().clone();
            Ok(vec![value.map(|value| SharedValue { value, etag: "1".to_owned() })])
        }

        async fn write(
            &self,
            _: &str,
            value: Bytes,
            _: Option<Option<&str>>,
        ) -> Result<(), SharedWriteError> {
            *self.value.lock() = Some(value);
            Ok(())
        }

        async fn delete(&self, _: &str) -> Result<(), backend::Error> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_somebody_sends_once_more_is_refused() {
        let store = Arc::new(Store::default());
        let [one, other] = [(); 2].map(|()| HostSeal::new(Some(store.clone())));
        let list = EffectsRequest::List(EffectsPage { from: 0, limit: 1, payload: true });
        let payload = one.close(&actor("A/a"), &list).await.expect("the key is there").expect("it is sealed");
        let again = one.close(&actor("A/a"), &list).await.expect("the key is there");
        assert_ne!(again.as_ref(), Some(&payload));
        let [own, another] = ["own", "another"].map(Arc::<str>::from);
        let open =
            async |mark: &Arc<str>| other.open(&actor("A/a"), EFFECTS_METHOD, &payload, Some(mark)).await;
        let (request, call) = open(&own).await.expect("it is of a host");
        assert_eq!(request, list);
        assert!(open(&own).await.is_ok(), "the sidecar delivers it again");
        assert!(open(&another).await.is_err());
        drop(call);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(open(&own).await.is_err());
    }

    /// While it is ahead, its seals are of another time than that of the other hosts.
    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_ahead_is_forgotten_once_it_is_set_right() {
        let store = Arc::new(Store::default());
        let host = |machine: &Machine| HostSeal::with_clock(Some(store.clone()), machine.clock());
        let [machine, corrected] = [(); 2].map(|()| Machine::at(1_000_000_000_000));
        let [one, other] = [&machine, &corrected].map(host);
        let list = EffectsRequest::List(EffectsPage { from: 0, limit: 1, payload: true });
        let target = actor("A/a");
        let is_answered = async |from: &HostSeal, to: &HostSeal| {
            let payload = from.close(&target, &list).await.expect("the key is there").expect("it is sealed");
            to.open(&target, EFFECTS_METHOD, &payload, None).await.is_ok()
        };
        let ahead = Duration::from_secs(3_600);
        corrected.sleep(ahead);
        assert!(!is_answered(&one, &other).await && !is_answered(&other, &one).await);
        corrected.set_back(ahead);
        assert!(is_answered(&one, &other).await && is_answered(&other, &one).await);
    }

    #[tokio::test(start_paused = true)]
    async fn forged_calls_do_not_ask_a_store_that_is_away_each_time() {
        let store = Arc::new(Store::default());
        store.is_away.store(true, Ordering::Relaxed);
        let seal = HostSeal::new(Some(store.clone()));
        let forged = |at: u64| stored_json(&sealed(&[0; 32], at, "{}")).expect("it is JSON");
        let (now, old) = (forged(unix_ms(Clock::of_process().wall())), forged(0));
        let target = actor("A/a");
        let refused = seal.open(&target, EFFECTS_METHOD, &old, None).await.map(drop);
        assert!(matches!(refused, Err(CallError::MethodReserved(_))), "{refused:?}");
        assert_eq!(store.reads.load(Ordering::Relaxed), 0);
        let open = |_| seal.open(&target, EFFECTS_METHOD, &now, None);
        let all = futures::future::join_all((0..100).map(open)).await;
        assert!(all.iter().all(|answer| matches!(answer, Err(CallError::Backend(_)))));
        assert_eq!(store.reads.load(Ordering::Relaxed), 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(open(0).await.is_err());
        assert_eq!(store.reads.load(Ordering::Relaxed), 2);
    }
}

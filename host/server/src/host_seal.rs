//! The proof that a call between hosts is one: a seal that only hosts of the same app can make.
//!
//! A sidecar delivers the calls of every app that reaches it, and an agent may name any method. The calls by which one
//! host asks another for the effects of its actors change what is sent, and show what may be secret. So each has a seal:
//! HMAC-SHA-256 over the actor, the time and the request, with a key that the first host puts into the state that the
//! hosts share. Dapr keeps the values of one app apart from those of others, and no agent can name them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daca_base::clock::Clock;
use daca_base::{ErrorCode, json};
use daca_model::admin::EffectsRequest;
use daca_model::backend::{self, EFFECTS_METHOD, SharedStore, SharedWriteError, stored_json};
use daca_model::{ActorAddress, CallError};
use hmac::{Hmac, Mac as _};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::seldom::Seldom;

/// The key of the hosts' key in the shared state.
const KEY: &str = "daca-hosts-key";
/// The time for which a host uses the key that it has read: somebody may have emptied the store.
const KEY_TIME: Duration = Duration::from_secs(60);
/// The time for which a seal holds, by the clocks of the two hosts.
const SEAL_TIME: Duration = Duration::from_secs(300);
/// The maximum length of a sealed request in bytes.
const MAX_SEALED: usize = 8 * 1024;

/// Makes and checks the seals of this host. Cheap to clone.
#[derive(Clone)]
pub struct HostSeal {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    store: Arc<dyn SharedStore>,
    /// The key, and when it was read.
    known: Mutex<Option<(Instant, Key)>>,
    refused: Seldom,
}

type Key = [u8; 32];

/// A request with its seal.
#[derive(Serialize, Deserialize)]
struct Sealed {
    /// Milliseconds since 1970.
    at: u64,
    /// The JSON of the request: the seal is over its bytes.
    request: String,
    /// In hexadecimal digits.
    seal: String,
}

impl HostSeal {
    /// The seals of the hosts that share this store. A single host shares none, and calls nobody.
    pub fn new(store: Option<Arc<dyn SharedStore>>) -> HostSeal {
        let inner = |store| Arc::new(Inner { store, known: Mutex::default(), refused: Seldom::default() });
        HostSeal { inner: store.map(inner) }
    }

    /// The payload of a call with this request. `None` if there are no other hosts.
    pub(super) async fn close(
        &self,
        actor: &ActorAddress,
        request: &EffectsRequest,
    ) -> Result<Option<Bytes>, backend::Error> {
        let Some(inner) = &self.inner else { return Ok(None) };
        let key = inner.key().await?;
        let request = stored_json(request)?;
        let request = String::from_utf8_lossy(&request).into_owned();
        let at = Clock::of_process().unix_ms();
        let seal = hex::encode(mac(&key, &sealed_text(actor, at, &request)).finalize().into_bytes());
        stored_json(&Sealed { at, request, seal }).map(Some)
    }

    /// The request of a call that has arrived, if a host has made it.
    pub(super) async fn open(
        &self,
        actor: &ActorAddress,
        method: &str,
        payload: &Bytes,
    ) -> Result<EffectsRequest, CallError> {
        let refused = || CallError::MethodReserved(method.chars().take(64).collect());
        let inner = self.inner.as_ref().ok_or_else(refused)?;
        let is_readable = method == EFFECTS_METHOD && payload.len() <= MAX_SEALED;
        let sealed = json::read_object::<Sealed>(payload).ok().filter(|_| is_readable);
        if let Some(sealed) = sealed {
            let key = inner.key().await.map_err(|error| CallError::Backend(error.as_not_applied()))?;
            if let Some(request) = unsealed(&key, actor, &sealed, Clock::of_process().unix_ms()) {
                return Ok(request);
            }
        }
        if let Some(left_out) = inner.refused.admit() {
            let code = ErrorCode::MethodReserved.as_str();
            tracing::warn!(code, %actor, left_out, "a call of a method of the hosts had no seal of a host, and was refused");
        }
        Err(refused())
    }
}

impl Inner {
    async fn key(&self) -> Result<Key, backend::Error> {
        let known = *self.known.lock();
        if let Some((read, key)) = known
            && read.elapsed() < KEY_TIME
        {
            return Ok(key);
        }
        let read = Instant::now();
        let key = match self.stored().await? {
            Some(key) => key,
            None => self.first().await?,
        };
        *self.known.lock() = Some((read, key));
        Ok(key)
    }

    /// The key in the store.
    async fn stored(&self) -> Result<Option<Key>, backend::Error> {
        let read = self.store.read(&[KEY.to_owned()]).await?;
        let Some(value) = read.into_iter().flatten().next() else { return Ok(None) };
        let text = json::read::<String>(&value.value).ok().filter(|text| text.len() >= size_of::<Key>());
        let text = text.ok_or_else(|| {
            backend::Error::Other(format!("the shared {KEY:?} was not written by a host: remove it"))
        })?;
        Ok(Some(Sha256::digest(text).into()))
    }

    /// Makes the key, unless another host has just made it.
    async fn first(&self) -> Result<Key, backend::Error> {
        // Two random identifiers have 244 random bits.
        let text = format!("{}{}", daca_model::new_id(), daca_model::new_id());
        match self.store.write(KEY, stored_json(&text)?, Some(None)).await {
            Ok(()) | Err(SharedWriteError::Conflict) => {}
            Err(SharedWriteError::Failed(error)) => return Err(error),
        }
        let missing = || backend::Error::Unavailable("the hosts' key was written, and is not there".into());
        self.stored().await?.ok_or_else(missing)
    }
}

fn unsealed(key: &Key, actor: &ActorAddress, sealed: &Sealed, now: u64) -> Option<EffectsRequest> {
    let Sealed { at, request, seal: given } = sealed;
    let given = hex::decode(given).ok()?;
    // In constant time.
    let is_right = mac(key, &sealed_text(actor, *at, request)).verify_slice(&given).is_ok();
    let is_recent = u128::from(now.abs_diff(*at)) <= SEAL_TIME.as_millis();
    if !(is_right && is_recent) {
        return None;
    }
    json::read(request.as_bytes()).ok()
}

/// An address has no line break, so nothing else has the same text.
fn sealed_text(actor: &ActorAddress, at: u64, request: &str) -> String {
    format!("{actor}\n{at}\n{request}")
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
    use daca_model::admin::{EffectsAction, EffectsChange};

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

    #[test]
    fn only_what_a_host_has_sealed_for_this_actor_a_moment_ago_is_answered() {
        let (key, now) = ([7; 32], 1_000_000_000);
        let change = EffectsChange { action: EffectsAction::Discard, id: None };
        let request = EffectsRequest::Change(change);
        let text = serde_json::to_string(&request).expect("it is JSON");
        let sealed = |key: &Key, text: &str| Sealed {
            at: now,
            request: text.to_owned(),
            seal: hex::encode(mac(key, &sealed_text(&actor("A/a"), now, text)).finalize().into_bytes()),
        };
        let good = sealed(&key, &text);
        let opened = |sealed: &Sealed, id: &str, now: u64| unsealed(&key, &actor(id), sealed, now);
        assert_eq!(opened(&good, "A/a", now), Some(request.clone()));
        assert_eq!(opened(&good, "A/a", now - 300_000), Some(request), "a clock that is behind");
        assert_eq!(opened(&good, "A/b", now), None, "another actor");
        assert_eq!(opened(&good, "A/a", now + 300_001), None, "too old");
        assert_eq!(opened(&sealed(&[8; 32], &text), "A/a", now), None, "another key");
        assert_eq!(opened(&Sealed { request: text.replace("discard", "retry"), ..good }, "A/a", now), None);
        assert_eq!(opened(&Sealed { seal: String::new(), ..sealed(&key, &text) }, "A/a", now), None);
    }
}

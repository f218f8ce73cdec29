//! Reminders and timers.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use daca_base::digest;
use daca_base::json::Document;

use crate::ActorAddress;

/// The prefix of the state keys that the host keeps beside an agent's own, of its reminders and timers, and of the methods
/// that it answers by itself. No guest can name them.
pub const HOST_KEYS: &str = "daca:";
/// The state key of an actor's effects that have not left, the beginning of the keys of a long backlog, and the name of
/// the reminder that wakes such an actor.
pub const EFFECTS: &str = "daca:effects";

/// The method by which one host asks another for the effects of its actors. No actor has it: a host answers it by
/// itself.
pub const EFFECTS_METHOD: &str = "daca:effects";

/// The name of the reminder that an actor has in the place of another one, whose id a scheduler does not accept
/// ([`effects_proxy`]). Its data are the id of that one. A host that does not know it refuses its firing, so that it fires
/// again.
pub const EFFECTS_OF_ANOTHER: &str = "daca:effects-of";

/// The actor that has the reminder of another one's effects. It is of the same type, so that its firings arrive at hosts
/// that have that type, and it is never active: a host that gets a firing passes it on.
pub fn effects_proxy(actor: &ActorAddress) -> ActorAddress {
    ActorAddress::unchecked(
        &actor.agent_type,
        &format!("daca:effects:{}", digest::digest(actor.id.as_bytes())),
    )
}

/// The actor whose effects a firing at a proxy is of, from the data of the reminder. `None` if somebody else has registered
/// it.
pub fn of_effects_proxy(proxy: &ActorAddress, data: &[u8]) -> Option<ActorAddress> {
    let actor = ActorAddress::new(&proxy.agent_type, std::str::from_utf8(data).ok()?).ok()?;
    (effects_proxy(&actor) == *proxy).then_some(actor)
}

/// The beginning of the data of a reminder that fires once, where it repeats until it is removed. No text begins so, and no
/// data of the SDK.
const ONCE: &[u8] = b"\xffdaca:once:";

/// Reminder or timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WakeupKind {
    /// Durable until it is unregistered.
    Reminder,
    /// Lasts while the actor is active.
    Timer,
}

/// Names a reminder or timer of an actor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WakeupKey {
    /// Reminder or timer.
    pub kind: WakeupKind,
    /// Its name.
    pub name: String,
}

impl WakeupKey {
    /// Returns `true` for the host's own reminder of an actor with effects.
    pub fn is_of_effects(&self) -> bool {
        self.kind == WakeupKind::Reminder && self.name == EFFECTS
    }
}

/// The registration of a reminder or timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// From the commit to the first firing.
    pub due: Duration,
    /// From one firing to the next.
    pub period: Option<Duration>,
    /// From the commit to the last possible firing.
    pub ttl: Option<Duration>,
    /// The data of each firing.
    pub data: Bytes,
}

/// One firing of a reminder or timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiredWakeup {
    /// The reminder or timer.
    pub key: WakeupKey,
    /// Identifies this registration and this firing among others of the same name; 0 if nothing does. Only the backend
    /// uses it.
    pub token: u128,
}

/// The data of a reminder that fires once, for a scheduler that lets it repeat until it is removed, with an identity of
/// this registration.
pub fn with_once_mark(data: &Bytes) -> Bytes {
    let id = uuid::Uuid::new_v4();
    [ONCE, &id.as_bytes()[..], &data[..]].concat().into()
}

/// Returns `true` for data that begin like such data: no agent may register them, or its own bytes would be cut off.
pub fn begins_like_once_mark(data: &[u8]) -> bool {
    data.starts_with(ONCE)
}

/// The identity in such data, and the agent's own data; `None` for other data.
pub fn without_once_mark(data: &Bytes) -> Option<(u128, Bytes)> {
    let (id, own) = data.strip_prefix(ONCE)?.split_first_chunk::<16>()?;
    let id = u128::from_be_bytes(*id);
    (id != 0).then(|| (id, data.slice_ref(own)))
}

/// The data of a reminder or timer that fires or is read: base64 in a JSON string, as every SDK of Dapr and the
/// sidecar's gRPC API write it. Anything else was registered by hand through the HTTP API, and is passed on unchanged.
pub fn firing_data(data: Option<&Document>) -> Bytes {
    let Some(data) = data.filter(|data| !data.is_null()) else { return Bytes::new() };
    let decoded = data.text().and_then(|text| STANDARD.decode(text).ok());
    decoded.map_or_else(|| data.bytes().clone(), Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_has_the_reminder_of_one_actor() {
        let actor = "A/ada@example.com".parse().expect("an address");
        let proxy = effects_proxy(&actor);
        assert_eq!(proxy.to_string().parse::<ActorAddress>(), Ok(proxy.clone()), "its id is one");
        assert_eq!(of_effects_proxy(&proxy, b"ada@example.com"), Some(actor));
        for data in [&b"eve@example.com"[..], b"", b"\xff", b"a||b"] {
            assert_eq!(of_effects_proxy(&proxy, data), None, "{data:?}");
        }
    }

    #[test]
    fn the_mark_of_a_registration_is_its_own_and_comes_off() {
        for data in ["", "7", "daca:once:0123456789abcdef"] {
            let data = Bytes::from_static(data.as_bytes());
            assert_eq!(without_once_mark(&data), None);
            let marked = [with_once_mark(&data), with_once_mark(&data)];
            let [first, second] = marked.map(|marked| without_once_mark(&marked).expect("it has a mark"));
            assert_eq!((&first.1, &second.1), (&data, &data));
            assert_ne!(first.0, second.0);
            assert!(begins_like_once_mark(&with_once_mark(&data)) && !begins_like_once_mark(&data));
        }
        for damaged in [&b""[..], &b"0123456789abcde"[..], &[0; 20][..]] {
            assert_eq!(without_once_mark(&[ONCE, damaged].concat().into()), None);
        }
    }

    #[test]
    fn data_of_every_origin_is_read() {
        for (json, bytes) in [
            ("\"aGk=\"", "hi"),
            ("\"no base64!\"", "\"no base64!\""),
            ("{\"a\":1}", "{\"a\":1}"),
            ("null", ""),
            ("7", "7"),
        ] {
            let document = Document::parse(&json.into()).expect("it is JSON");
            assert_eq!(firing_data(Some(&document)), bytes.as_bytes(), "{json}");
        }
    }
}

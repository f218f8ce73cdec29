//! The effect log as it lies in the actor's state: JSON, because every state store preserves it.
//!
//! The head has the effects themselves as long as they are few. Of a longer backlog it has the numbers of segments, so
//! that a commit does not write the whole backlog again. Effects are read one by one and kept with their text, so an
//! older host writes again what a newer one has added to them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use daca_base::json::{self, Document, UnknownFields};
use daca_model::ActorAddress;
use daca_model::backend::{self, Backend, BindingRequest, Effect, EffectRequest};
use serde::{Deserialize, Serialize};

use crate::actor::stored_format::{too_new, unreadable};

/// The key of the head. [`segment_key`] has those of the segments.
pub(super) const HEAD: &str = backend::EFFECTS;
/// The form that this host writes, and the latest that it reads.
const FORMAT: u32 = 1;
/// About what the text of an effect has beside its payload and log lines: names, and what is escaped.
const AROUND: usize = 384;
/// The number of segments that are requested at once.
const READ_BATCH: usize = 32;
/// The attempts to read a log that another host is changing.
const MAX_READS: usize = 5;
/// The time between them.
const READ_PAUSE: Duration = Duration::from_millis(50);

/// The key of a segment.
pub(super) fn segment_key(number: u64) -> String {
    format!("{HEAD}:{number}")
}

/// An effect and its text.
#[derive(Debug, Clone)]
pub(super) struct StoredEffect {
    pub(super) effect: Effect,
    pub(super) text: Document,
    /// When its turn committed, in milliseconds since 1970. `None` if an older host has written it.
    pub(super) committed_unix_ms: Option<u64>,
}

/// The head as it is stored.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Older effects are in these segments, from old to new.
    pub(super) segments: Vec<u64>,
    /// The latest effects.
    pub(super) effects: Vec<StoredEffect>,
    /// What a newer host has added to the head.
    pub(super) unknown: UnknownFields,
}

/// The fields of the head, and of a segment, beside the effects.
#[derive(Deserialize)]
struct Fields {
    format: u32,
    #[serde(default)]
    segments: Vec<u64>,
}

/// One effect: an event with `pubsub` and `topic`, or a request with `binding` and `operation`. Its data are `text` or
/// `base64`. The fields are those of the JSON.
#[derive(Serialize, Deserialize)]
struct Form<'a> {
    id: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pubsub: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binding: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Cow<'a, BTreeMap<String, String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undeliverable: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<Cow<'a, str>>,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    committed_unix_ms: Option<u64>,
    /// `true` or absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_failure: Option<bool>,
}

impl<'a> Form<'a> {
    fn of(effect: &'a Effect, committed_unix_ms: u64) -> Form<'a> {
        let Effect { id, request, delivered_line, undeliverable_line, traceparent, after_failure } = effect;
        let data = match request {
            EffectRequest::Publish { event, .. } => event,
            EffectRequest::Send(request) => &request.data,
        };
        let (text, base64) = match std::str::from_utf8(data) {
            Ok(text) => (Some(text.into()), None),
            Err(_) => (None, Some(BASE64.encode(data).into())),
        };
        let form = Form {
            id: (&**id).into(),
            pubsub: None,
            topic: None,
            binding: None,
            operation: None,
            text,
            base64,
            metadata: None,
            delivered: delivered_line.as_deref().map(Cow::Borrowed),
            undeliverable: undeliverable_line.as_deref().map(Cow::Borrowed),
            traceparent: traceparent.as_deref().map(Cow::Borrowed),
            committed_unix_ms: Some(committed_unix_ms),
            after_failure: after_failure.then_some(true),
        };
        match request {
            EffectRequest::Publish { pubsub, topic, .. } => {
                Form { pubsub: Some(pubsub.into()), topic: Some(topic.into()), ..form }
            }
            EffectRequest::Send(BindingRequest { name, operation, metadata, .. }) => Form {
                binding: Some(name.into()),
                operation: Some(operation.into()),
                metadata: (!metadata.is_empty()).then_some(Cow::Borrowed(metadata)),
                ..form
            },
        }
    }

    /// `None` if it is not of a host.
    fn into_effect(self) -> Option<Effect> {
        let data = match (self.text, self.base64) {
            (Some(text), None) => Bytes::from(text.into_owned()),
            (None, Some(base64)) => BASE64.decode(&*base64).ok()?.into(),
            _ => return None,
        };
        let request = match (self.pubsub, self.topic, self.binding, self.operation) {
            (Some(pubsub), Some(topic), None, None) => {
                EffectRequest::Publish { pubsub: pubsub.into_owned(), topic: topic.into_owned(), event: data }
            }
            (None, None, Some(binding), Some(operation)) => EffectRequest::Send(BindingRequest {
                name: binding.into_owned(),
                operation: operation.into_owned(),
                data,
                metadata: self.metadata.map(Cow::into_owned).unwrap_or_default(),
            }),
            _ => return None,
        };
        Some(Effect {
            id: Arc::from(&*self.id),
            request,
            delivered_line: self.delivered.map(Cow::into_owned),
            undeliverable_line: self.undeliverable.map(Cow::into_owned),
            traceparent: self.traceparent.map(|traceparent| Arc::from(&*traceparent)),
            after_failure: self.after_failure.unwrap_or_default(),
        })
    }
}

impl StoredEffect {
    /// The text of an effect whose turn commits at this time.
    pub(super) fn new(effect: Effect, committed_unix_ms: u64) -> Result<StoredEffect, backend::Error> {
        let text = Document::of_own(&Form::of(&effect, committed_unix_ms), effect.bytes() + AROUND)
            .map_err(|error| backend::Error::Invalid(format!("an effect cannot be stored: {error}")))?;
        Ok(StoredEffect { effect, text, committed_unix_ms: Some(committed_unix_ms) })
    }

    pub(super) fn read(text: Document) -> Option<StoredEffect> {
        let form = json::read_object::<Form<'_>>(text.bytes()).ok()?;
        let committed_unix_ms = form.committed_unix_ms;
        Some(StoredEffect { effect: form.into_effect()?, text, committed_unix_ms })
    }
}

impl Head {
    /// Parses the stored value; a missing one is an empty head.
    pub(super) fn read(value: Option<&Bytes>) -> Result<Head, backend::Error> {
        let Some(value) = value else { return Ok(Head::default()) };
        let (Fields { segments, .. }, effects, document) = read(HEAD, value)?;
        // The next segment has the number after the last one.
        if !segments.is_sorted_by(|one, next| one < next) || segments.last() == Some(&u64::MAX) {
            return Err(unreadable(HEAD));
        }
        let unknown = UnknownFields::of(&document, &["format", "segments", "effects"]);
        let unknown = unknown.map_err(|_| unreadable(HEAD))?;
        Ok(Head { segments, effects, unknown })
    }
}

/// What the store has of an actor's effect log.
#[derive(Debug, Default)]
pub(in crate::actor) struct StoredLog {
    /// With the segments that they are in, if any.
    pub(super) effects: Vec<(Option<u64>, StoredEffect)>,
    /// With their sizes.
    pub(super) segments: BTreeMap<u64, usize>,
    pub(super) has_head: bool,
    /// What a newer host has added to the head.
    pub(super) unknown: UnknownFields,
}

impl StoredLog {
    /// Reads the head, and its segments.
    pub(in crate::actor) async fn read(
        backend: &dyn Backend,
        actor: &ActorAddress,
    ) -> Result<StoredLog, backend::Error> {
        let mut value = read_head(backend, actor).await?;
        for attempt in 1..=MAX_READS {
            let head = Head::read(value.as_ref())?;
            let segments = read_segments(backend, actor, &head.segments).await?;
            if segments.iter().any(Option::is_none) {
                // A segment goes with the effects in it that have left, and in the same commit from the head. So another
                // host has committed in between, or this copy of the store lags behind.
                let again = read_head(backend, actor).await?;
                if again != value || attempt < MAX_READS {
                    value = again;
                    tokio::time::sleep(READ_PAUSE).await;
                    continue;
                }
                // Or it has committed before: a host that did not know of it has written the head.
                tracing::warn!(%actor, "effects that another host has seen to are missing in the state, as they should be");
            }
            return StoredLog::of(head, segments, value.is_some());
        }
        Err(backend::Error::Unavailable("another host is changing the actor's effects".into()))
    }

    /// The log of a head, with the values of its segments.
    fn of(head: Head, segments: Vec<Option<Bytes>>, has_head: bool) -> Result<StoredLog, backend::Error> {
        let (mut effects, mut sizes) = (Vec::new(), BTreeMap::new());
        for (number, value) in head.segments.iter().zip(segments) {
            let Some(value) = value else { continue };
            let segment = read_segment(*number, &value)?;
            sizes.insert(*number, value.len());
            effects.extend(segment.into_iter().map(|effect| (Some(*number), effect)));
        }
        effects.extend(head.effects.into_iter().map(|effect| (None, effect)));
        Ok(StoredLog { effects, segments: sizes, has_head, unknown: head.unknown })
    }
}

async fn read_head(backend: &dyn Backend, actor: &ActorAddress) -> Result<Option<Bytes>, backend::Error> {
    let values = backend.read_state(actor, &[HEAD.to_owned()]).await?;
    Ok(values.into_iter().next().flatten().map(|value| value.value))
}

/// The values of segments, in order.
async fn read_segments(
    backend: &dyn Backend,
    actor: &ActorAddress,
    numbers: &[u64],
) -> Result<Vec<Option<Bytes>>, backend::Error> {
    let keys = numbers.iter().map(|number| segment_key(*number)).collect::<Vec<_>>();
    let mut segments = Vec::with_capacity(keys.len());
    for some in keys.chunks(READ_BATCH) {
        let values = backend.read_state(actor, some).await?.into_iter();
        segments.extend(values.map(|value| value.map(|value| value.value)));
    }
    Ok(segments)
}

/// Parses a segment.
pub(super) fn read_segment(number: u64, value: &Bytes) -> Result<Vec<StoredEffect>, backend::Error> {
    read(&segment_key(number), value).map(|(_, effects, _)| effects)
}

fn read(key: &str, value: &Bytes) -> Result<(Fields, Vec<StoredEffect>, Document), backend::Error> {
    let document = Document::parse(value).map_err(|_| unreadable(key))?;
    let fields = json::read_object::<Fields>(document.bytes()).map_err(|_| unreadable(key))?;
    if fields.format > FORMAT {
        return Err(too_new(key, fields.format, FORMAT));
    }
    let effects = document.field("effects").ok_or_else(|| unreadable(key))?;
    let effects = effects.items().map(StoredEffect::read).collect::<Option<_>>();
    Ok((fields, effects.ok_or_else(|| unreadable(key))?, document))
}

/// The value of a head with the fields that a newer host has added.
pub(super) fn head_text(segments: &[u64], effects: &[&Document], unknown: &UnknownFields) -> Bytes {
    let mut head = written(segments, effects);
    unknown.add_to(&mut head);
    head.into()
}

/// The value of the head, or of a segment, which has no further segments.
pub(super) fn text(segments: &[u64], effects: &[&Document]) -> Bytes {
    written(segments, effects).into()
}

fn written(segments: &[u64], effects: &[&Document]) -> Vec<u8> {
    let mut text = format!("{{\"format\":{FORMAT}").into_bytes();
    if !segments.is_empty() {
        let numbers = segments.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        text.extend_from_slice(format!(",\"segments\":[{numbers}]").as_bytes());
    }
    let (begin, end) = (b",\"effects\":[", b"]}");
    // At once: with each turn it is copied as often as it grows.
    let bytes = effects.iter().map(|effect| effect.bytes().len() + 1).sum::<usize>();
    text.reserve_exact(begin.len() + bytes + end.len());
    text.extend_from_slice(begin);
    for (number, effect) in effects.iter().enumerate() {
        if number > 0 {
            text.push(b',');
        }
        text.extend_from_slice(effect.bytes());
    }
    text.extend_from_slice(end);
    text
}

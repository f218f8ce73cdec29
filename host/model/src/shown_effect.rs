//! How people are shown an effect: its kind, and the part of its payload and metadata that fits.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use serde::{Deserialize, Serialize};

/// The bytes of an effect's data that are shown. The effect itself is sent whole.
const KEPT_DATA: usize = 4_096;

/// What an effect asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectKind {
    /// An event.
    Publish,
    /// A call of a binding, one way.
    Send,
    /// A call of a binding that was made at once, and is no effect.
    Invoke,
}

/// The part of the metadata that is kept. Omitted entries are counted.
pub(crate) fn shown_metadata(metadata: &BTreeMap<String, String>) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let (mut left, entries) = (KEPT_DATA, metadata.len());
    let mut shown = Vec::<(Cow<'_, str>, Cow<'_, str>)>::with_capacity(entries);
    for (name, value) in metadata {
        left = left.saturating_sub(name.len() + value.len());
        if left == 0 {
            let left_out = format!("{} of {entries} entries are left out", entries - shown.len());
            shown.push((Cow::Borrowed("…"), Cow::Owned(left_out)));
            break;
        }
        shown.push((Cow::Borrowed(name.as_str()), Cow::Borrowed(value.as_str())));
    }
    shown
}

/// A payload for people: text, or base64 if it is not text, of bounded length.
pub(crate) fn readable(data: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(data) {
        Ok(text) => Cow::Borrowed(&text[..text.floor_char_boundary(KEPT_DATA)]),
        Err(_) => {
            let data = &data[..data.len().min(KEPT_DATA)];
            Cow::Owned(base64::engine::general_purpose::STANDARD.encode(data))
        }
    }
}

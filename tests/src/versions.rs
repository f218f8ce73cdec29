//! Components as versions: what names one, and how one becomes another.

use anyhow::bail;
use sha2::Digest as _;

/// What the ChatAgent answers first, and what it answers in other words. Both have one length, so that one can take the place
/// of the other in the component.
const ANSWER: &[u8; 18] = b"Got your message: ";
const OTHER_ANSWER: &[u8; 18] = b"You have written: ";

/// The digest of a component's bytes: the name of the version.
pub fn version_of(component: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(component))
}

/// The same component as another version.
pub fn another(component: &[u8], number: u8) -> Vec<u8> {
    with_section(component, [number])
}

/// The same component with a custom section at its end, which says nothing.
pub fn with_section<const N: usize>(component: &[u8], content: [u8; N]) -> Vec<u8> {
    // The name of the section is one byte, with one for its length. Up to 127, one byte holds the size of the whole.
    let size = const {
        assert!(N < 126, "the content is too long");
        N as u8 + 2
    };
    [component, &[0, size, 1, b'n'], &content].concat()
}

/// The ChatAgent as a component that answers in other words: what the reader of a page makes of it.
pub fn in_other_words(chat_agent: &[u8]) -> anyhow::Result<Vec<u8>> {
    let places = chat_agent.windows(ANSWER.len()).enumerate().filter(|(_, window)| window == ANSWER);
    let places = places.map(|(place, _)| place).collect::<Vec<_>>();
    let [place] = places[..] else { bail!("the words of the ChatAgent are in its component at {places:?}") };
    let mut changed = chat_agent.to_vec();
    changed[place..place + ANSWER.len()].copy_from_slice(OTHER_ANSWER);
    Ok(changed)
}

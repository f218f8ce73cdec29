//! Topics: the targets of events.

/// A topic of a pub/sub component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The pub/sub component.
    pub pubsub: String,
    /// The topic.
    pub topic: String,
}

impl Topic {
    /// Parses `PUBSUB/TOPIC`.
    pub fn parse(text: &str) -> Option<Topic> {
        let (pubsub, topic) = text.split_once('/')?;
        let is_whole = !pubsub.is_empty() && !topic.is_empty();
        is_whole.then(|| Topic { pubsub: pubsub.to_owned(), topic: topic.to_owned() })
    }
}

//! What a case is, and the files of the project that cases change.

/// What is done to the folder or the manifest.
pub(super) enum Change {
    /// In a file, a text is replaced by another.
    Replace(&'static str, &'static str, &'static str),
    /// A file is added.
    Add(&'static str, &'static str),
    /// A file is removed.
    Remove(&'static str),
    /// In the manifest, a text is replaced by another.
    Manifest(&'static str, &'static str),
}

/// What is wrong, how it comes about, and of each finding the severity, the code, the place and a word. Any error makes the
/// command fail.
pub(super) type Case =
    (&'static str, &'static [Change], &'static [(&'static str, &'static str, &'static str, &'static str)]);

pub(super) const STORE: &str = "statestore.yaml";
pub(super) const PUBSUB: &str = "daca-pubsub.yaml";
pub(super) const KAFKA: &str = "kafka-binding.yaml";
pub(super) const TWILIO: &str = "twilio-binding.yaml";
pub(super) const SUBSCRIPTION: &str = "message-subscription.yaml";
pub(super) const RESILIENCY: &str = "resiliency.yaml";
pub(super) const ROUTE: &str = "  - name: route\n    value: \"/receive-message\"\n";

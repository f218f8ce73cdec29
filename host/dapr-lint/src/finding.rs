//! The findings of the check: each has a stable code, a place, a problem and a help.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// It will not work, or loses messages.
    Error,
    /// It works, but probably not as intended.
    Warning,
    /// Something was not checked.
    Note,
}

/// The kinds of findings. Each is explained in `docs/errors.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    ActorStoreMissing,
    ActorStoreTwice,
    ActorStoreUnfit,
    Duplicate,
    FeatureUnknown,
    GroupMissing,
    InputMissing,
    InputUnlisted,
    Invalid,
    KindUnknown,
    MessagesLost,
    MessagesRepeated,
    MessagesSkipped,
    OperationUnknown,
    OutOfScope,
    OutputMissing,
    PartitionStops,
    PubsubMissing,
    RouteUnanswered,
    SecretMissing,
    SecretStoreMissing,
    SettingInvalid,
    SettingMissing,
    SlowBinding,
    SubscriptionIgnored,
    Syntax,
    TopicNotAllowed,
    TypeUnknown,
    Unreadable,
    VersionUnknown,
    WrongKind,
}

impl Code {
    fn code(&self) -> &'static str {
        match self {
            Code::ActorStoreMissing => "components-actor-store-missing",
            Code::ActorStoreTwice => "components-actor-store-twice",
            Code::ActorStoreUnfit => "components-actor-store-unfit",
            Code::Duplicate => "components-duplicate",
            Code::FeatureUnknown => "components-feature-unknown",
            Code::GroupMissing => "components-group-missing",
            Code::InputMissing => "components-input-missing",
            Code::InputUnlisted => "components-input-unlisted",
            Code::Invalid => "components-invalid",
            Code::KindUnknown => "components-kind-unknown",
            Code::MessagesLost => "components-messages-lost",
            Code::MessagesRepeated => "components-messages-repeated",
            Code::PartitionStops => "components-partition-stops",
            Code::MessagesSkipped => "components-messages-skipped",
            Code::OperationUnknown => "components-operation-unknown",
            Code::OutOfScope => "components-out-of-scope",
            Code::OutputMissing => "components-output-missing",
            Code::PubsubMissing => "components-pubsub-missing",
            Code::RouteUnanswered => "components-route-unanswered",
            Code::SecretMissing => "components-secret-missing",
            Code::SecretStoreMissing => "components-secret-store-missing",
            Code::SettingInvalid => "components-setting-invalid",
            Code::SettingMissing => "components-setting-missing",
            Code::SlowBinding => "components-slow-binding",
            Code::SubscriptionIgnored => "components-subscription-ignored",
            Code::Syntax => "components-syntax",
            Code::TopicNotAllowed => "components-topic-not-allowed",
            Code::TypeUnknown => "components-type-unknown",
            Code::Unreadable => "components-unreadable",
            Code::VersionUnknown => "components-version-unknown",
            Code::WrongKind => "components-wrong-kind",
        }
    }
}

/// A place in a file. Line 0 is the whole file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: Arc<Path>,
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Place {
    /// A whole file or folder.
    pub(super) fn whole(path: &Path) -> Place {
        Place { path: path.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.line > 0 { write!(f, ":{}:{}", self.line, self.column) } else { Ok(()) }
    }
}

/// One finding.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    code: Code,
    place: Place,
    message: String,
    help: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { severity, code, place, message, help } = self;
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        write!(f, "{severity}[{}]: {place}: {message}\n  help: {help}", code.code())
    }
}

/// All findings so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn error(
        &mut self,
        code: Code,
        place: &Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Error, code, place, message.into(), help.into());
    }

    pub(super) fn warning(
        &mut self,
        code: Code,
        place: &Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Warning, code, place, message.into(), help.into());
    }

    pub(super) fn note(
        &mut self,
        code: Code,
        place: &Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Note, code, place, message.into(), help.into());
    }

    fn push(&mut self, severity: Severity, code: Code, place: &Place, message: String, help: String) {
        self.0.push(Finding { severity, code, place: place.clone(), message, help });
    }

    /// Returns `true` if one of them is an error.
    pub(super) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// All of them as text, in the order of discovery.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.iter().map(Finding::to_string).collect()
    }
}

//! Why a deployment failed.

use http::StatusCode;

use super::SignatureError;
use super::shared::SharedError;
use daca_base::digest::short;
use daca_model::LARGEST_COMPONENT;
use daca_runtime::component::LoadError;

/// Why a version was not deployed, and what to do. The previous version keeps serving.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error[{code}]: {message}\n  help: {help}")]
pub struct Error {
    /// Stable code, explained in `docs/errors.md`.
    pub code: &'static str,
    /// The matching HTTP status.
    pub status: StatusCode,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Error {
    pub(super) fn new(
        code: &'static str,
        status: StatusCode,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Error {
        Error { code, status, message: message.into(), help: help.into() }
    }

    /// Returns `true` if the obstacle may go away, so that the same deployment may succeed later.
    pub(super) fn is_retryable(&self) -> bool {
        let retryable = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::INSUFFICIENT_STORAGE];
        retryable.contains(&self.status) || self.code == "deploy-conflict"
    }

    pub(super) fn unknown_type(agent_type: &str) -> Error {
        let message = format!("there is no agent type {agent_type:?} on this host");
        let help = "name one of the manifest; `daca ps` lists them";
        Error::new("agent-type-unknown", StatusCode::NOT_FOUND, message, help)
    }

    pub(super) fn version_unknown(version: &str) -> Error {
        let message = format!("no version whose digest begins with {version:?} is kept here");
        let help = "name one that `daca versions` lists, or deploy its file";
        Error::new("version-unknown", StatusCode::NOT_FOUND, message, help)
    }

    pub(super) fn version_ambiguous(version: &str) -> Error {
        let message = format!("the digests of several versions begin with {version:?}");
        Error::new("version-unknown", StatusCode::NOT_FOUND, message, "give more digits")
    }

    pub(super) fn nothing_before() -> Error {
        let help = "deploy the version that you want";
        let message = "no version served before this one";
        Error::new("nothing-to-roll-back", StatusCode::CONFLICT, message, help)
    }

    pub(super) fn rollback_loses_schema(schema: &str, comes: &str) -> Error {
        let message = format!(
            "actors whose state was migrated to {schema:?} could not be served by {comes:?}, which has no migration"
        );
        let help = format!(
            "deploy a version whose migration accepts {schema:?}; or force it (`daca rollback --force`): calls of those actors are answered 503 then, until such a version serves"
        );
        Error::new("rollback-loses-shape", StatusCode::CONFLICT, message, help)
    }

    pub(super) fn no_migration(schema: &str) -> Error {
        let message = format!(
            "actors' state may have been migrated to {schema:?}, and this version has no migration that would accept it"
        );
        let help = format!(
            "export a migration that accepts {schema:?}; or, when it reads state of that shape as it is, deploy it with the label {schema:?} (`daca deploy --label {schema}`)"
        );
        Error::new("component-lacks-migration", StatusCode::CONFLICT, message, help)
    }

    pub(super) fn conflict(serving: &str, label: &str) -> Error {
        let message = format!(
            "another version was deployed in the meantime: version {} ({label}) serves",
            short(serving)
        );
        let help = "check `daca versions`, and deploy again if you still want to";
        Error::new("deploy-conflict", StatusCode::CONFLICT, message, help)
    }

    pub(super) fn too_many_pins(most: usize) -> Error {
        let message = format!("{most} actors of this type are pinned already");
        Error::new("too-many-pins", StatusCode::CONFLICT, message, "unpin those that no longer need it")
    }

    pub(super) fn not_pinned(actor: &str) -> Error {
        let message = format!("the actor {actor:?} is not pinned");
        Error::new("not-pinned", StatusCode::NOT_FOUND, message, "`daca versions` lists those that are")
    }

    pub(super) fn busy() -> Error {
        let message = "too many deployments are waiting already";
        Error::new("deploy-busy", StatusCode::SERVICE_UNAVAILABLE, message, "deploy again later")
    }

    pub(super) fn shutting_down() -> Error {
        let message = "the host is shutting down, and nothing was deployed";
        let help = "deploy to another host, or when this one is back";
        Error::new("host-shutting-down", StatusCode::SERVICE_UNAVAILABLE, message, help)
    }

    pub(super) fn trial(reason: &str) -> Error {
        let message = format!("it failed its smoke test on a scratch actor: {reason}");
        let help = "fix its activation; a version that cannot be activated would fail every call";
        Error::new("trial-failed", StatusCode::UNPROCESSABLE_ENTITY, message, help)
    }

    pub(super) fn no_room() -> Error {
        let message = "the host has no capacity for a smoke test now";
        Error::new("deploy-busy", StatusCode::SERVICE_UNAVAILABLE, message, "deploy again later")
    }

    pub(super) fn not_permitted(agent_type: &str, imports: &[(&str, &str)]) -> Error {
        let needs = imports.iter().map(|(import, list)| format!("{import} (list {list})"));
        let message = format!(
            "it imports interfaces for which the manifest permits nothing: {}",
            needs.collect::<Vec<_>>().join(", ")
        );
        let help = format!(
            "permit what it needs in [agents.{agent_type}.permissions] and restart the host, or build it without that import"
        );
        Error::new("component-not-permitted", StatusCode::UNPROCESSABLE_ENTITY, message, help)
    }

    pub(super) fn memory(agent_type: &str, needed: u64, limit: bytesize::ByteSize) -> Error {
        let needed = bytesize::ByteSize(needed);
        let message =
            format!("its initial memory is {needed}, and agents.{agent_type}.limits.memory is {limit}");
        let help = "raise the limit and restart the host, or reduce the component's initial memory";
        Error::new("component-memory", StatusCode::UNPROCESSABLE_ENTITY, message, help)
    }

    pub(super) fn no_compiler(error: &std::io::Error) -> Error {
        let message = format!("the component could not be compiled now: {error}");
        let help = "try again; the message says what the machine lacks";
        Error::new("compiler-unavailable", StatusCode::SERVICE_UNAVAILABLE, message, help)
    }

    pub(super) fn unwritable(what: &std::path::Path, error: &std::io::Error) -> Error {
        let message = format!("{}: {error}", what.display());
        let help = "free disk space, or make the data folder writable; the previous version keeps serving";
        Error::new("versions-unwritable", StatusCode::INSUFFICIENT_STORAGE, message, help)
    }

    pub(super) fn unreadable(what: &std::path::Path, reason: impl std::fmt::Display) -> Error {
        let message = format!("{}: {reason}", what.display());
        let help = "deploy the version again; if it is the record that cannot be read, remove that file and start the host: the manifest's component serves then";
        Error::new("versions-unreadable", StatusCode::INTERNAL_SERVER_ERROR, message, help)
    }

    pub(super) fn shared_unavailable(reason: &daca_model::backend::Error) -> Error {
        let message = format!("the state that the hosts share cannot be reached: {reason}");
        let help = "deploy again when the sidecar and its state store are there; nothing was deployed";
        Error::new("shared-state-unavailable", StatusCode::SERVICE_UNAVAILABLE, message, help)
    }

    pub(super) fn record_too_new(reason: &str) -> Error {
        let help = "start a host of a version that knows this format; this one neither serves nor changes such a record";
        Error::new("record-too-new", StatusCode::SERVICE_UNAVAILABLE, reason, help)
    }

    pub(super) fn internal() -> Error {
        let message = "the deployment ended unexpectedly";
        Error::new("internal", StatusCode::INTERNAL_SERVER_ERROR, message, "the host's log has the details")
    }

    /// The uploaded component exceeds the maximum size.
    pub fn too_large() -> Error {
        let message = format!("the component has more than {LARGEST_COMPONENT} bytes");
        let help = "build it with optimisation and without debug information";
        Error::new("component-too-large", StatusCode::PAYLOAD_TOO_LARGE, message, help)
    }

    pub(super) fn share(share: u8) -> Error {
        let message = format!("a share of {share} percent is invalid");
        Error::new("share-invalid", StatusCode::BAD_REQUEST, message, "give 1 to 100")
    }

    pub(super) fn serves_all(version: &str) -> Error {
        let message = format!("version {} serves already, and cannot serve a share as well", short(version));
        Error::new("share-invalid", StatusCode::BAD_REQUEST, message, "give the share to another version")
    }

    pub(super) fn label(message: impl Into<String>) -> Error {
        let help = "give 1 to 64 characters, none of them a control character";
        Error::new("label-invalid", StatusCode::BAD_REQUEST, message, help)
    }
}

impl From<SharedError> for Error {
    fn from(error: SharedError) -> Error {
        match error {
            SharedError::Store(error) => Error::shared_unavailable(&error),
            error @ SharedError::TooNew(_) => Error::record_too_new(&error.to_string()),
        }
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Error {
        let LoadError { code, name, message, help } = error;
        let message = format!("{name}: {message}");
        let status = match code {
            "compiler-unavailable" | "host-shutting-down" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Error::new(code, status, message, help)
    }
}

impl From<SignatureError> for Error {
    fn from(error: SignatureError) -> Error {
        let (code, help) = (error.code(), error.help());
        Error::new(code, StatusCode::FORBIDDEN, error.to_string(), help)
    }
}

//! Why a deployment failed.

use bytesize::ByteSize;

use super::SignatureError;
use super::library::{Lost, Missing};
use daca_base::digest::short;
use daca_base::files::no_room;
use daca_base::telemetry::{MAX_TEXT, printable_lines};
use daca_base::{ErrorCode, Explained, Explanation};
use daca_model::MAX_COMPONENT;
use daca_runtime::component::LoadError;

/// The end of a help that a host gives which serves.
const KEEPS_SERVING: &str = "; the previous version keeps serving";
/// The end of a message about a folder that has the name of a file.
const OBSTRUCTED: &str = ": a folder is in the place of this file";

/// Why a version was not deployed, and what to do. The previous version keeps serving.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Stable code, explained in `docs/errors/`.
    pub code: ErrorCode,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Error {
    /// The texts may quote a component, a script or the shared record, so they are made safe for a terminal.
    pub(super) fn new(code: ErrorCode, message: impl Into<String>, help: impl Into<String>) -> Error {
        let safe = |text: String| printable_lines(&text, MAX_TEXT);
        Error { code, message: safe(message.into()), help: safe(help.into()) }
    }

    /// Returns `true` if the obstacle may go away, so that the same deployment may succeed later.
    pub(super) fn is_retryable(&self) -> bool {
        // A defect may spare the next call, but not the same deployment.
        self.code.is_retryable() && !matches!(self.code, ErrorCode::Internal | ErrorCode::RecordTooNew)
    }

    pub(super) fn unknown_type(agent_type: &str) -> Error {
        let message = format!("there is no agent type {agent_type:?} on this host");
        let help = "name one of the manifest; `daca ps` lists them";
        Error::new(ErrorCode::AgentTypeUnknown, message, help)
    }

    pub(super) fn version_unknown(version: &str) -> Error {
        let message = format!("no version whose digest begins with {version:?} is kept here");
        let help = "name one that `daca versions` lists, or deploy its file";
        Error::new(ErrorCode::VersionUnknown, message, help)
    }

    pub(super) fn version_ambiguous(version: &str) -> Error {
        let message = format!("the digests of several versions begin with {version:?}");
        Error::new(ErrorCode::VersionUnknown, message, "give more digits")
    }

    pub(super) fn nothing_before() -> Error {
        let help = "deploy the version that you want";
        let message = "no version served before this one";
        Error::new(ErrorCode::NothingToRollBack, message, help)
    }

    pub(super) fn rollback_loses_schema(schema: &str, comes: &str) -> Error {
        let message = format!(
            "actors whose state was migrated to {schema:?} could not be served by {comes:?}, which has no migration"
        );
        let help = format!(
            "deploy a version whose migration accepts {schema:?}; or force it (`daca rollback --force`): calls of those actors are then answered 503 until such a version serves"
        );
        Error::new(ErrorCode::RollbackLosesShape, message, help)
    }

    pub(super) fn no_migration(schema: &str) -> Error {
        let message = format!(
            "actors' state may have been migrated to {schema:?}, and this version has no migration that accepts it"
        );
        let help = format!(
            "export a migration that accepts {schema:?}; or, if it can read state of that schema directly, deploy it with the label {schema:?} (`daca deploy --label {schema}`)"
        );
        Error::new(ErrorCode::ComponentLacksMigration, message, help)
    }

    pub(super) fn conflict(serving: &str, label: &str) -> Error {
        let message = format!(
            "another version was deployed in the meantime: version {} ({label}) serves",
            short(serving)
        );
        let help = "check `daca versions`, and deploy again if you still want to";
        Error::new(ErrorCode::DeployConflict, message, help)
    }

    pub(super) fn too_many_pins(most: usize) -> Error {
        let message = format!("{most} actors of this type are pinned already");
        Error::new(ErrorCode::TooManyPins, message, "unpin those that no longer need it")
    }

    /// Only a record that no host has written comes here.
    pub(super) fn no_revision_after(revision: u64) -> Error {
        let message =
            format!("the record has revision {revision}, which no host has written, and cannot be changed");
        let help = "put the record of a backup in its place";
        Error::new(ErrorCode::VersionsUnreadable, message, help)
    }

    pub(super) fn not_pinned(actor: &str) -> Error {
        let message = format!("the actor {actor:?} is not pinned");
        Error::new(ErrorCode::NotPinned, message, "`daca versions` lists those that are")
    }

    pub(super) fn busy() -> Error {
        let message = "too many deployments are waiting already";
        Error::new(ErrorCode::DeployBusy, message, "deploy again later")
    }

    pub(super) fn shutting_down() -> Error {
        let message = "the host is shutting down, and nothing was deployed";
        let help = "deploy to another host, or when this one is back";
        Error::new(ErrorCode::HostShuttingDown, message, help)
    }

    pub(super) fn smoke_test(reason: &str) -> Error {
        let message = format!("it failed its smoke test on a scratch actor: {reason}");
        let help = "fix its activation; a version that cannot be activated would fail every call";
        Error::new(ErrorCode::TrialFailed, message, help)
    }

    pub(super) fn no_room() -> Error {
        let message = "the host has no capacity for a smoke test now";
        Error::new(ErrorCode::DeployBusy, message, "deploy again later")
    }

    pub(super) fn not_permitted(agent_type: &str, imports: &[(&str, &str)]) -> Error {
        let needs = imports.iter().map(|(import, list)| format!("{import} (list {list})"));
        let message = format!(
            "it imports interfaces for which the manifest permits nothing: {}",
            needs.collect::<Vec<_>>().join(", ")
        );
        let help = format!(
            "give the permission in [agents.{agent_type}.permissions] and restart the host; calls of anything else are denied"
        );
        Error::new(ErrorCode::ComponentNotPermitted, message, help)
    }

    pub(super) fn absent(imports: &[&str]) -> Error {
        let message = format!(
            "it imports interfaces that this host does not offer, and a call of one would abort its turn: {}",
            imports.join(", ")
        );
        let help = "if the agent does not use them, nothing is wrong; to be rid of wasi:http, build it without (componentize-js: --disable http fetch-event), and let a binding of the manifest make HTTP requests";
        Error::new(ErrorCode::ComponentImportAbsent, message, help)
    }

    pub(super) fn lacks_method(method: &str, line: usize, methods: &[String]) -> Error {
        let message = format!("the script has no method {method:?}, which line {line} of the manifest calls");
        let has = match methods {
            [] => "it has none".to_owned(),
            methods => format!("its methods are: {}", methods.join(", ")),
        };
        let help = format!("{has}; a field that holds a function (`{method} = () => …`) is no method");
        Error::new(ErrorCode::ScriptLacksMethod, message, help)
    }

    pub(super) fn memory(name: &str, agent_type: &str, needed: ByteSize, limit: ByteSize) -> Error {
        // Half as much again, for what it requests while it runs.
        let sufficient = needed.as_u64().saturating_add(needed.as_u64() / 2);
        let mebibytes = sufficient.div_ceil(1024 * 1024);
        let [needed, limit] = daca_manifest::sizes_for_people([needed, limit]);
        let message = format!(
            "{name}: its initial memory is {needed}, and agents.{agent_type}.limits.memory is {limit}"
        );
        let help = format!(
            "set memory = \"{mebibytes}MiB\" in [agents.{agent_type}.limits] and restart the host, or reduce the component's initial memory"
        );
        Error::new(ErrorCode::ComponentMemory, message, help)
    }

    pub(super) fn no_compiler(error: &std::io::Error) -> Error {
        let message = format!("the component could not be compiled now: {error}");
        let help = "try again; the message says what the machine lacks";
        Error::new(ErrorCode::CompilerUnavailable, message, help)
    }

    pub(super) fn unwritable(what: &std::path::Path, error: &std::io::Error) -> Error {
        let message = format!("{}: {error}", what.display());
        let help = no_room(what, error);
        let help = help.as_deref().unwrap_or("make the data folder writable for this user");
        Error::new(ErrorCode::VersionsUnwritable, message, format!("{help}{KEEPS_SERVING}"))
    }

    /// The same at a start, when nothing serves yet.
    pub(super) fn at_start(self) -> Error {
        match self.help.strip_suffix(KEEPS_SERVING) {
            Some(help) => Error::new(self.code, self.message, help.to_owned()),
            None => self,
        }
    }

    /// The same for a new data folder, from which nothing serves yet.
    pub(super) fn of_new_folder(self) -> Error {
        let help = self.help.strip_suffix(KEEPS_SERVING).map(str::to_owned);
        match help {
            Some(help) if self.code == ErrorCode::VersionsUnwritable => {
                let help = format!("{help}, or name another folder with --data DIR");
                Error::new(ErrorCode::DataUnwritable, self.message, help)
            }
            _ => self,
        }
    }

    /// A folder in the place of a file. It may have anything in it, so the host does not remove it.
    pub(super) fn obstructed(what: &std::path::Path) -> Error {
        let message = format!("{}{OBSTRUCTED}", what.display());
        let help = "move the folder away; then put the file back, or deploy its version again";
        Error::new(ErrorCode::VersionsUnreadable, message, help)
    }

    /// A version without which a restored host would not serve what this one serves.
    pub(super) fn not_backed_up(agent_type: &str, version: &str, code: ErrorCode, reason: &str) -> Error {
        let message =
            format!("version {} of {agent_type} is in use, and has no whole file: {reason}", short(version));
        let first = if reason.ends_with(OBSTRUCTED) { "move the folder away; then " } else { "" };
        let help = format!(
            "{first}put the file back, or deploy the same bytes again (`daca deploy {agent_type} FILE`), and take the backup again; a canary can be rolled back instead, and a pinned actor unpinned"
        );
        Error::new(code, message, help)
    }

    /// A record that a restored host would miss.
    pub(super) fn record_not_backed_up(agent_type: &str, folder: &std::path::Path) -> Error {
        let message = format!("the record of {agent_type} is missing from {}", folder.display());
        let help = "take the backup again: the host writes the record again within a second";
        Error::new(ErrorCode::VersionsMissing, message, help)
    }

    /// A change that the next start would not find, because the record on disk is gone.
    pub(super) fn record_missing(missing: &Missing) -> Error {
        let message = format!("deployed versions are missing in the data folder: {}", missing.reason());
        let help = "put it back; the host notices within a second. The previous version keeps serving";
        Error::new(ErrorCode::VersionsUnwritable, message, help)
    }

    /// A start that would serve the manifest's component in place of another one.
    pub(super) fn versions_missing(agent_type: &str, lost: &Lost) -> Error {
        let (digest, missing) = (short(&lost.digest), lost.missing.display());
        let message = format!(
            "version {digest} of {agent_type} served from this data folder, and {missing} is missing; the manifest's component is another version"
        );
        let help = format!(
            "put it back; or name a component file whose digest begins with {digest}; or, to serve the manifest's component in its place, remove {}",
            lost.note.display()
        );
        Error::new(ErrorCode::VersionsMissing, message, help)
    }

    /// A start whose record names a version that is nowhere.
    pub(super) fn version_missing(agent_type: &str, version: &str, folder: &std::path::Path) -> Error {
        let message = format!(
            "version {} is the one that {agent_type} should run, by its record, and {version}.wasm is missing from {}",
            short(version),
            folder.display()
        );
        let help = "put the file back, or name a component file with these bytes; to start with the manifest's component in its place, remove record.json from that folder";
        Error::new(ErrorCode::VersionUnknown, message, help)
    }

    pub(super) fn unreadable(what: &std::path::Path, reason: impl std::fmt::Display) -> Error {
        if what.is_dir() {
            return Error::obstructed(what);
        }
        let message = format!("{}: {reason}", what.display());
        let help = "deploy the version again, or name a component file with its bytes in the manifest; if it is the record that cannot be read, remove that file and start the host: the manifest's component serves then";
        Error::new(ErrorCode::VersionsUnreadable, message, help)
    }

    pub(super) fn shared_unavailable(reason: &daca_model::backend::Error) -> Error {
        let message = format!("the state that the hosts share cannot be reached: {reason}");
        let help = "deploy again when the store that the hosts share can be reached; nothing was deployed";
        Error::new(ErrorCode::SharedStateUnavailable, message, help)
    }

    pub(super) fn record_too_new(reason: &str) -> Error {
        let help = "start a host of a version that knows this format; this one neither serves nor changes such a record";
        Error::new(ErrorCode::RecordTooNew, reason, help)
    }

    pub(super) fn internal() -> Error {
        let message = "the deployment ended unexpectedly";
        Error::new(ErrorCode::Internal, message, "the host's log has the details")
    }

    /// The uploaded component exceeds the maximum size.
    pub fn too_large() -> Error {
        let message = format!("the component has more than {MAX_COMPONENT} bytes");
        let help = "build it with optimisation and without debug information";
        Error::new(ErrorCode::ComponentTooLarge, message, help)
    }

    pub(super) fn share(share: u8) -> Error {
        let message = format!("a share of {share} percent is invalid");
        Error::new(ErrorCode::ShareInvalid, message, "give 1 to 100")
    }

    pub(super) fn serves_all(version: &str) -> Error {
        let message = format!("version {} serves already, and cannot serve a share as well", short(version));
        Error::new(ErrorCode::ShareInvalid, message, "give the share to another version")
    }

    pub(super) fn label(message: impl Into<String>) -> Error {
        let help = "give 1 to 64 characters, none of them a control character";
        Error::new(ErrorCode::LabelInvalid, message, help)
    }
}

impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        Some(Explanation::new(self.code, self.help.as_str()))
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Error {
        let LoadError { code, name, message, help } = error;
        Error::new(code, format!("{name}: {message}"), help)
    }
}

impl From<SignatureError> for Error {
    fn from(error: SignatureError) -> Error {
        Error::new(error.code(), error.to_string(), error.help())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `daca check` shows them as they are.
    #[test]
    fn the_names_of_a_component_and_of_a_script_forge_no_line() {
        let forged = "x\n2026-01-01T00:00:00Z  INFO daca: forged\u{1b}[2J";
        let long = vec![forged.to_owned(); 10_000];
        for error in [Error::absent(&[forged]), Error::lacks_method("M", 1, &long), Error::smoke_test(forged)]
        {
            for text in [&error.message, &error.help] {
                assert!(text.lines().skip(1).all(|line| line.starts_with("  ")), "{text}");
                assert!(!text.contains('\u{1b}') && text.len() < 10_000, "{text}");
            }
        }
    }
}

//! Why a file is not a usable component, in messages that all checks of this module share.

use daca_base::telemetry::printable_lines;
use daca_base::{ErrorCode, Explained, Explanation};

/// The bytes of a message, which may quote a component: its names have up to 100,000 each.
const MAX_MESSAGE: usize = 4 * 1024;

/// Why a file is not a usable component.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {message}")]
pub struct LoadError {
    /// Stable code, explained in `docs/errors/`.
    pub code: ErrorCode,
    /// The file, or another origin of the bytes.
    pub name: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Explained for LoadError {
    fn explanation(&self) -> Option<Explanation<'_>> {
        Some(Explanation::new(self.code, self.help.as_str()))
    }
}

/// Code, message and help of a [`LoadError`].
pub(super) type Refusal = (ErrorCode, String, &'static str);

impl LoadError {
    /// Whoever deploys a component chooses the names that the message quotes, so it is bounded and printable. It may have
    /// the stack of a script.
    pub(super) fn new(name: String, (code, message, help): Refusal) -> LoadError {
        let message = printable_lines(&message, MAX_MESSAGE);
        LoadError { code, name, message, help: help.to_owned() }
    }
}

/// The refusal of bytes that no compiler can read, with the reason.
pub(super) fn malformed(reason: &str) -> Refusal {
    let message = format!("it is not a valid component (cut short or altered?): {}", one_line(reason));
    (ErrorCode::ComponentInvalid, message, "copy or build the file again")
}

/// The refusal of a component that the compiler rejects, with its reason. Its errors have no kinds, only texts, so the
/// words of wasmparser and wasmtime decide: most are of files that are damaged, but a component may also be whole, and
/// need what this host does not have.
pub(super) fn rejected(reason: &str) -> Refusal {
    const FEATURES: [&str; 6] =
        ["enabled", "is disabled", " feature", " proposal", "not supported", "unsupported"];
    const LIMITS: [&str; 5] = ["exceed", "implementation limit", "too deep", "too many", "limit of"];
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if has(&["component model async", "WASIp3"]) {
        return needs_async(&one_line(reason));
    }
    if has(&FEATURES) {
        let message =
            format!("it needs a feature of WebAssembly that this host does not have: {}", one_line(reason));
        return (
            ErrorCode::ComponentNeedsFeature,
            message,
            "build it for WASI 0.2, without the feature that the message names",
        );
    }
    if has(&LIMITS) { too_demanding(reason) } else { malformed(reason) }
}

/// The refusal of a component with asynchronous functions, with the sign of them.
pub(super) fn needs_async(sign: &str) -> Refusal {
    let message = format!(
        "it needs the asynchronous component model or WASI 0.3, which this host does not have: {sign}"
    );
    let help = "build it for WASI 0.2 and without asynchronous exports (componentize-qjs: --sync); the functions of the contract wait by themselves";
    (ErrorCode::ComponentNeedsAsync, message, help)
}

/// The refusal of a component whose code the engine does not take, with the reason: an instance would need more than it
/// gets. The bytes have been compiled, so they are not damaged.
pub(super) fn not_taken(reason: &str) -> Refusal {
    match rejected(reason) {
        (ErrorCode::ComponentInvalid, ..) => too_demanding(reason),
        refusal => refusal,
    }
}

fn too_demanding(reason: &str) -> Refusal {
    let message = format!("it exceeds a limit of the engine: {}", one_line(reason));
    (ErrorCode::ComponentTooComplex, message, "build it with optimisation, with fewer or smaller parts")
}

/// The refusal of an import that the host does not offer, with the reason.
pub(super) fn unknown_import(what: &str) -> Refusal {
    let message = format!("it imports items that this host does not offer: {what}");
    (ErrorCode::ComponentUnknownImport, message, "remove the import; wit/agent.wit lists the available ones")
}

/// The compilation was abandoned: the process ends, or something panicked, which is in the log.
pub(super) fn interrupted() -> Refusal {
    unavailable("the work was interrupted")
}

/// The machine lacks the resources to run the compiler.
pub(super) fn unavailable(reason: &str) -> Refusal {
    let message = format!("it could not be compiled now: {reason}");
    (ErrorCode::CompilerUnavailable, message, "deploy it again; the message says what the machine lacks")
}

pub(super) fn shutting_down() -> Refusal {
    let message = "the host is shutting down, and no longer compiles".to_owned();
    (ErrorCode::HostShuttingDown, message, "deploy to another host, or when this one is back")
}

/// The refusal of a script, with what is wrong and where.
pub(super) fn invalid_script(message: &str) -> Refusal {
    let help = "correct the script; lines and columns are those of its file";
    (ErrorCode::ScriptInvalid, message.to_owned(), help)
}

/// wasmtime's chain of causes in one line.
pub(super) fn root_cause(error: &wasmtime::Error) -> String {
    one_line(&format!("{error:#}"))
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_and_needs_more_is_not_called_damaged() {
        for (reason, code) in [
            (
                "threads must be enabled for shared memories (at offset 0x1d)",
                ErrorCode::ComponentNeedsFeature,
            ),
            ("`task.return` requires the component model async feature", ErrorCode::ComponentNeedsAsync),
            (
                "memory is shared which is not supported in the pooling allocator",
                ErrorCode::ComponentNeedsFeature,
            ),
            ("effective type size exceeds the limit of 1000000", ErrorCode::ComponentTooComplex),
            ("type nesting is too deep (at offset 0x9)", ErrorCode::ComponentTooComplex),
            ("unexpected end-of-file (at offset 0x9)", ErrorCode::ComponentInvalid),
            ("illegal opcode: 0xff", ErrorCode::ComponentInvalid),
        ] {
            assert_eq!(rejected(reason).0, code, "{reason}");
        }
        assert_eq!(not_taken("something else").0, ErrorCode::ComponentTooComplex);
    }

    #[test]
    fn no_component_makes_a_message_long_or_forges_a_line() {
        let text = format!("a\nb\u{1b}{}", "x".repeat(100_000));
        let error = LoadError::new("c.wasm".into(), invalid_script(&text));
        assert!(error.message.starts_with("a\n  b\\u{1b}x") && error.message.ends_with('…'), "{error:.99}");
        assert!(error.message.len() < 5_000, "{}", error.message.len());
    }
}

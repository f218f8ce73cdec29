//! The documentation, made where the doc tests run.
//!
//! `cargo doc` wants all dependencies checked, which is most of compiling them once more. For doc tests cargo hands rustdoc the
//! very libraries that it has built. So this program stands in for rustdoc: it has the real one make the documentation, in which
//! a warning is an error, and then test it.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::cargo::Cargo;
use crate::paths::{self, target};

/// The variable that makes this program stand in for the rustdoc that it names.
const STANDS_IN_FOR: &str = "DACA_XTASK_RUSTDOC";
/// The variable that names the folder for the documentation.
const FOLDER: &str = "DACA_XTASK_DOC";

/// The libraries whose documentation people read.
const DOCUMENTED: [&str; 18] = [
    "daca_base",
    "daca_client",
    "daca_dapr",
    "daca_dapr_lint",
    "daca_deploy",
    "daca_embedded",
    "daca_fakes",
    "daca_host",
    "daca_manifest",
    "daca_model",
    "daca_routing",
    "daca_runtime",
    "daca_script",
    "daca_sdk",
    "daca_server",
    "daca_stack",
    "daca_testkit",
    "daca_tests",
];

/// Has a run of `cargo test` make the documentation, too.
pub(crate) fn made_beside_doc_tests(cargo: Cargo) -> Cargo {
    let rustdoc = paths::program("rustdoc").display().to_string();
    let this = target().join("debug/xtask").display().to_string();
    let folder = target().join("doc").display().to_string();
    cargo.variable("RUSTDOC", this).variable(STANDS_IN_FOR, rustdoc).variable(FOLDER, folder)
}

/// Does what rustdoc would, when this program was started in its place.
pub(crate) fn stand_in() -> Option<ExitCode> {
    let (rustdoc, folder) = (std::env::var_os(STANDS_IN_FOR)?, std::env::var_os(FOLDER)?);
    let arguments = std::env::args_os().skip(1).collect::<Vec<_>>();
    let mut runs = vec![arguments.clone()];
    if is_documented(&arguments) {
        runs.insert(0, without_test(&arguments, folder));
    }
    let all_well = runs.iter().all(|arguments| {
        let status = Command::new(&rustdoc).args(arguments).env_remove(STANDS_IN_FOR).status();
        status.inspect_err(|error| eprintln!("error: starting rustdoc: {error}")).is_ok_and(|it| it.success())
    });
    Some(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_documented(arguments: &[OsString]) -> bool {
    let name = arguments.windows(2).find(|pair| pair[0] == "--crate-name").map(|pair| &pair[1]);
    name.is_some_and(|name| DOCUMENTED.iter().any(|documented| name == *documented))
}

/// The arguments of cargo for doc tests, made into those for documentation.
fn without_test(arguments: &[OsString], folder: OsString) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--test" | "--no-run" | "--nocapture") => {}
            Some("--test-args" | "--test-run-directory" | "--test-runtool" | "--test-runtool-arg") => {
                arguments.next();
            }
            _ => kept.push(argument.clone()),
        }
    }
    kept.extend(["-D", "warnings", "--out-dir"].map(OsString::from));
    kept.push(folder);
    kept
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn what_is_for_tests_alone_is_left_out() {
        let given = "--crate-name daca_sdk --test src/lib.rs --test-run-directory . --extern a=b";
        let given = given.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(is_documented(&given));
        let kept = without_test(&given, "doc".into());
        let expected = "--crate-name daca_sdk src/lib.rs --extern a=b -D warnings --out-dir doc";
        assert_eq!(kept.join(OsStr::new(" ")), expected);
    }
}

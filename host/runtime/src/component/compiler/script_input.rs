//! Preparing a script where a script of any depth does no harm: in the compiler process, on a stack of its own.

use std::io::{Error, Result};

use daca_script::{Prepared, Problem};

/// The stack for the parser. A script that is nested more deeply ends the process.
const STACK: usize = 64 * 1024 * 1024;

/// What the process writes: the script, or what is wrong with it.
pub(super) type Answer = std::result::Result<Prepared, Problem>;

/// Prepares a script. The result is JSON of an [`Answer`].
pub(super) fn prepare(text: Vec<u8>) -> Result<Vec<u8>> {
    let work = move || match std::str::from_utf8(&text) {
        Ok(text) => daca_script::prepare(text),
        Err(error) => Err(Problem { line: 1, column: 1, message: format!("it is not UTF-8: {error}") }),
    };
    let thread = std::thread::Builder::new().name("script".into()).stack_size(STACK).spawn(work)?;
    let answer = thread.join().map_err(|_panicked| Error::other("the parser failed on it"))?;
    serde_json::to_vec(&answer).map_err(Error::other)
}

/// Reads an answer.
pub(super) fn read(answer: &[u8]) -> std::result::Result<Answer, daca_base::json::Error> {
    daca_base::json::read(answer)
}

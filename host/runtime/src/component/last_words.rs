//! What a guest wrote to standard error before it was aborted, without what a panic of Rust says to people at a terminal.

/// A panic's advice, which nobody can follow: a guest has no environment.
const ADVICE: &str = "note: run with `RUST_BACKTRACE=1`";

/// Leaves out a panic's advice, and the place of a panic if it is in the engine of scripts: the author of a script has
/// never seen that code.
pub(super) fn readable(words: &str, is_script: bool) -> String {
    let is_place = |line: &str| line.starts_with("thread '") && line.contains(" panicked at ");
    let is_left_out = |line: &str| line.starts_with(ADVICE) || (is_script && is_place(line));
    words.lines().filter(|line| !is_left_out(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANIC: &str = "\nthread '<unnamed>' (1) panicked at crates/runtime/src/call.rs:5:9:\nit is broken\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";

    #[test]
    fn a_panic_of_the_engine_is_told_without_its_place() {
        assert_eq!(readable(PANIC, true).trim(), "it is broken");
        let place = "thread '<unnamed>' (1) panicked at crates/runtime/src/call.rs:5:9:";
        assert_eq!(readable(PANIC, false).trim(), format!("{place}\nit is broken"));
    }
}

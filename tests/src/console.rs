//! The console blocks of the documents: what a reader is told to type, and what the page says comes back.
//!
//! A block is fenced as `console`. A line that begins with `$ ` is a command, which may go on after a `\` at its end; the lines
//! below it are what it prints, in which `…` stands for anything. A command whose output is not shown may print what it likes.
//! A block that a test cannot run has an HTML comment before it, which says why: `<!-- not run: needs a cluster -->`. What the
//! reader does in another way than by a command has the command that the test runs in its place:
//! `<!-- run instead: daca deploy ChatAgent new.wasm -->`. A block of any language that the reader puts into a file has the
//! file's name before it, and is written there: `<!-- file: src/lib.rs -->`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use tempfile::TempDir;

use crate::fixtures::chat_agent;
use crate::versions::{in_other_words, version_of};
use crate::wait::TIMEOUT;

/// The versions as the pages show them: the ChatAgent that is served first, and the changed one.
const SHOWN_VERSIONS: [&str; 2] = ["0650d1150b4a", "0e3aea1d071d"];
/// The project's folder, as the pages show it.
const SHOWN_PROJECT: &str = "PATH/TO/THIS/PROJECT";
/// How long a command that builds may take: the first time, the dependencies of an agent are compiled.
const BUILD_TIMEOUT: Duration = Duration::from_secs(600);

/// A command of a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// The line of the page.
    pub line: usize,
    /// What is typed.
    pub command: String,
    /// What the page says that it prints; empty when it says nothing.
    pub output: String,
}

/// The commands of a page that are to be run, in its order.
pub fn commands(page: &str) -> anyhow::Result<Vec<Shown>> {
    let mut commands = Vec::new();
    let mut is_left_out = false;
    let mut file = None::<String>;
    let mut block = None::<String>;
    for (event, range) in Parser::new_ext(page, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Html(comment) => {
                is_left_out = after("not run:", &comment).is_some();
                file = after("file:", &comment).map(str::to_owned);
                if let Some(command) = after("run instead:", &comment) {
                    let line = 1 + page[..range.start].matches('\n').count();
                    commands.push(Shown { line, command: command.to_owned(), output: String::new() });
                }
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language)))
                if &*language == "console" || file.is_some() =>
            {
                block = Some(String::new());
            }
            Event::Text(text) => block.iter_mut().for_each(|block| block.push_str(&text)),
            Event::End(TagEnd::CodeBlock) => {
                if let Some(block) = block.take().filter(|_| !is_left_out) {
                    let line = 2 + page[..range.start].matches('\n').count();
                    match file.take() {
                        Some(file) => commands.push(written(&file, &block, line)),
                        None => read_block(&block, line, &mut commands)?,
                    }
                }
                is_left_out = false;
            }
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
            // The comment is for the block that follows it.
            _ => {
                is_left_out = false;
                file = None;
            }
        }
    }
    Ok(commands)
}

/// The text of a comment that begins with these words; none if there is no more than the words.
fn after<'a>(words: &str, comment: &'a str) -> Option<&'a str> {
    let text = comment.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    let text = text.trim().strip_prefix(words)?.trim();
    (!text.is_empty()).then_some(text)
}

/// The command that writes a block into a file.
fn written(file: &str, block: &str, line: usize) -> Shown {
    let command =
        format!("mkdir -p \"$(dirname '{file}')\" && cat >'{file}' <<'END OF FILE'\n{block}END OF FILE");
    Shown { line, command, output: String::new() }
}

fn read_block(block: &str, first: usize, commands: &mut Vec<Shown>) -> anyhow::Result<()> {
    let before = commands.len();
    let mut goes_on = false;
    for (line, text) in (first..).zip(block.lines()) {
        if let Some(command) = text.strip_prefix("$ ") {
            commands.push(Shown { line, command: command.to_owned(), output: String::new() });
            goes_on = command.ends_with('\\');
            continue;
        }
        let Some(last) = commands.get_mut(before..).and_then(<[_]>::last_mut) else {
            bail!("line {line}: output without a command: {text}");
        };
        if goes_on {
            last.command.extend(["\n", text]);
        } else {
            last.output.extend([text, "\n"]);
        }
        goes_on = goes_on && text.ends_with('\\');
    }
    Ok(())
}

/// Is what was printed as the page shows it? White space at the ends of lines does not count.
pub fn is_as_shown(shown: &str, printed: &str) -> bool {
    let (shown, printed) = (tidy(shown), tidy(printed));
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| printed.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.collect::<Vec<_>>();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn tidy(text: &str) -> String {
    let lines = text.lines().map(str::trim_end).collect::<Vec<_>>();
    lines.join("\n").trim().to_owned()
}

/// Where commands of a page run.
///
/// Its folder looks like the project's own, by links, so that what a command writes does not stay in the project; or it is empty,
/// for a page on which the reader makes a project. There is a `new.wasm`, too, which the pages say for a component that was just
/// built: the changed ChatAgent. The ports of the pages become those of a host, the versions those of the two components, and the
/// project's folder this one's.
pub struct Shell {
    folder: TempDir,
    path: String,
    admin: String,
    /// What is on the pages, and what is here in its place.
    replaced: Vec<(String, String)>,
}

impl Shell {
    /// For the project in `root` that is built in `target`, and a host with the addresses `app` and `admin`.
    pub fn new(root: &Path, target: &Path, app: &str, admin: &str) -> anyhow::Result<Shell> {
        let folder = TempDir::new()?;
        for entry in std::fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_name() != "target" {
                std::os::unix::fs::symlink(entry.path(), folder.path().join(entry.file_name()))?;
            }
        }
        std::os::unix::fs::symlink(target, folder.path().join("target"))?;
        let served = std::fs::read(chat_agent()).context("reading the ChatAgent")?;
        let new = in_other_words(&served)?;
        std::fs::write(folder.path().join("new.wasm"), &new)?;
        // As on a terminal, but without progress. An answer that is an error is a failure of the command.
        std::fs::write(folder.path().join(".curlrc"), "silent\nfail-with-body\n")?;
        let path = format!("{}:{}", target.join("debug").display(), std::env::var("PATH")?);
        let mut replaced = vec![(SHOWN_PROJECT.to_owned(), root.display().to_string())];
        for (port, url) in [("8000", app), ("8001", admin)] {
            let address = url.trim_start_matches("http://");
            let here = |host: &str| (format!("{host}:{port}"), address.to_owned());
            replaced.extend(["localhost", "127.0.0.1"].map(here));
        }
        for (shown, component) in SHOWN_VERSIONS.into_iter().zip([served, new]) {
            let version = version_of(&component);
            replaced.push((shown.to_owned(), version.chars().take(shown.len()).collect()));
        }
        Ok(Shell { folder, path, admin: admin.trim_start_matches("http://").to_owned(), replaced })
    }

    /// The same in an empty folder. It has the lock file of the project in `root`, so that a build needs no network, and builds
    /// beside the project in `target`, so that dependencies are compiled once.
    pub fn in_an_empty_folder(mut self, root: &Path, target: &Path) -> anyhow::Result<Shell> {
        let folder = TempDir::new()?;
        let beside = target.join("documents");
        std::fs::create_dir_all(&beside)?;
        std::os::unix::fs::symlink(beside, folder.path().join("target"))?;
        std::fs::copy(root.join("Cargo.lock"), folder.path().join("Cargo.lock"))?;
        std::fs::copy(self.folder.path().join(".curlrc"), folder.path().join(".curlrc"))?;
        self.folder = folder;
        Ok(self)
    }

    /// Runs a command, and says what differs from the page. A command that only looks is run until it shows what the page says:
    /// what follows from the command before it may take a moment.
    pub fn try_out(&self, shown: &Shown) -> anyhow::Result<Option<String>> {
        let start = Instant::now();
        loop {
            let fault = self.try_once(shown)?;
            if fault.is_none() || !only_looks(&shown.command) || start.elapsed() > TIMEOUT {
                return Ok(fault);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn try_once(&self, shown: &Shown) -> anyhow::Result<Option<String>> {
        let output =
            self.command(&self.here(&shown.command)).output().context("timeout could not be started")?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_error = |line: &str| line.starts_with("error") || line.starts_with("{\"detail\":");
        let is_error_shown = shown.output.lines().any(is_error);
        let fault = if output.status.code() == Some(124) {
            "it did not end by itself"
        } else if !output.status.success() && !is_error_shown {
            "it failed"
        } else if !shown.output.is_empty() && !is_as_shown(&self.here(&shown.output), &printed) {
            "its output is not as shown"
        } else {
            return Ok(None);
        };
        let Shown { line, command, .. } = shown;
        Ok(Some(format!("line {line}: {fault} ({})\n$ {command}\n{}", output.status, printed.trim_end())))
    }

    /// A text of a page, with this host's addresses and versions.
    fn here(&self, text: &str) -> String {
        self.replaced.iter().fold(text.to_owned(), |text, (shown, here)| text.replace(shown, here))
    }

    /// `timeout` ends what the command has started, too.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("timeout");
        let limit = if line.starts_with("cargo build") { BUILD_TIMEOUT } else { TIMEOUT };
        command.arg("--kill-after=5").arg(limit.as_secs().to_string());
        command.args(["sh", "-c"]).arg(format!("exec 2>&1\n{line}"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["DACA_ADMIN_TOKEN", "DAPR_GRPC_PORT", "DAPR_GRPC_ENDPOINT"] {
            command.env_remove(name);
        }
        command.env("PATH", &self.path).env("DACA_ADMIN", &self.admin);
        command.env("CARGO_TARGET_DIR", self.folder.path().join("target")).env("CARGO_NET_OFFLINE", "true");
        command.env("CURL_HOME", self.folder.path()).env("NO_PROXY", "*");
        command
    }
}

/// Does the command ask for something, and change nothing?
fn only_looks(command: &str) -> bool {
    command.starts_with("curl ") && [" -X", " -d"].iter().all(|option| !command.contains(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: usize, command: &str, output: &str) -> Shown {
        Shown { line, command: command.to_owned(), output: output.to_owned() }
    }

    #[test]
    fn commands_are_read_with_their_output_and_their_lines() -> anyhow::Result<()> {
        let page = "# A page\n\n```console\n$ one \\\n    --two\nout\n\n$ three  # a comment\n```\n\n```sh\n$ not one\n```\n";
        let expected = [shown(4, "one \\\n    --two", "out\n\n"), shown(8, "three  # a comment", "")];
        assert_eq!(commands(page)?, expected);
        Ok(())
    }

    #[test]
    fn a_block_is_left_out_only_by_a_comment_with_a_reason_right_before_it() -> anyhow::Result<()> {
        let block = "```console\n$ one\n```\n";
        let number = |before: &str| commands(&format!("{before}{block}")).map(|commands| commands.len());
        assert_eq!(number("<!-- not run: needs a cluster -->\n")?, 0);
        assert_eq!(number("<!-- not run: needs a cluster -->\n\n")?, 0);
        assert_eq!(number("<!-- not run: needs a cluster -->\n\nA text.\n\n")?, 1);
        assert_eq!(number("<!-- not run: -->\n")?, 1);
        assert_eq!(number(&format!("<!-- not run: needs a cluster -->\n{block}\n"))?, 1);
        Ok(())
    }

    #[test]
    fn a_comment_has_the_command_for_what_is_done_by_hand() -> anyhow::Result<()> {
        let page = "Save it.\n\n<!-- run instead: one -->\n\n<!-- not run: a log -->\n```console\nout\n```\n";
        assert_eq!(commands(page)?, [shown(3, "one", "")]);
        assert!(commands("<!-- run instead: -->\n")?.is_empty());
        Ok(())
    }

    #[test]
    fn a_block_with_a_file_before_it_is_written_there() -> anyhow::Result<()> {
        let page = "<!-- file: src/lib.rs -->\n```rust\nfn main() {}\n```\n\n```rust\nnot this\n```\n";
        let command = "mkdir -p \"$(dirname 'src/lib.rs')\" && cat >'src/lib.rs' <<'END OF FILE'\nfn main() {}\nEND OF FILE";
        assert_eq!(commands(page)?, [shown(3, command, "")]);
        assert!(commands("<!-- file: a -->\n\nA text.\n\n```rust\nnot this\n```\n")?.is_empty());
        Ok(())
    }

    #[test]
    fn what_only_looks_is_told_from_what_changes_something() {
        assert!(only_looks("curl localhost:8000/orders/1"));
        for command in
            ["curl -X POST localhost:8000/orders/1/confirm", "curl localhost:8000/a -d 2", "daca ps"]
        {
            assert!(!only_looks(command), "{command}");
        }
    }

    #[test]
    fn output_without_a_command_is_a_fault() {
        let page = "```console\n$ one\n```\n\n```console\nout\n```\n";
        let error = commands(page).map_err(|error| error.to_string());
        assert_eq!(error, Err("line 6: output without a command: out".to_owned()));
    }

    #[test]
    fn an_ellipsis_stands_for_anything() {
        for (shown, printed) in [
            ("a\nb\n\n", "a  \nb\n"),
            ("a … c", "a b c"),
            ("…\nlast\n", "first\nsecond\nlast\n"),
            ("first\n…", "first\nsecond"),
            ("…b…b", "abab"),
        ] {
            assert!(is_as_shown(shown, printed), "{shown:?} {printed:?}");
        }
        for (shown, printed) in [("a", "a b"), ("a … c", "a b"), ("…b", "ba"), ("a…a", "a"), ("", "a")]
        {
            assert!(!is_as_shown(shown, printed), "{shown:?} {printed:?}");
        }
    }
}

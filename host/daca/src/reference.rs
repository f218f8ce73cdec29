//! Compares the book's reference with the code: these tests generate the manifest's keys and the commands' help.
//!
//! `DACA_WRITE_REFERENCE=1 cargo test -p daca-host --bin daca reference` updates stale pages.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::CommandFactory as _;
use daca_manifest::reference::TABLES;

use crate::arguments::Arguments;

/// The folder of the pages.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference")
}

/// Replaces the text between two lines of a page.
fn put(page: &str, begin: &str, end: &str, text: &str) -> anyhow::Result<String> {
    let (before, rest) = page.split_once(begin).with_context(|| format!("the page has no {begin}"))?;
    let (_, after) = rest.split_once(end).with_context(|| format!("nothing ends {begin}"))?;
    Ok(format!("{before}{begin}\n{text}{end}{after}"))
}

/// Fails if a page does not match the code, or updates it on request.
fn check(name: &str, wanted: impl FnOnce(&str) -> anyhow::Result<String>) -> anyhow::Result<()> {
    let path = folder().join(name);
    let page = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let wanted = wanted(&page)?;
    if std::env::var_os("DACA_WRITE_REFERENCE").is_some() {
        return Ok(std::fs::write(&path, wanted)?);
    }
    anyhow::ensure!(
        page == wanted,
        "docs/reference/{name} is stale; write it with: DACA_WRITE_REFERENCE=1 cargo test -p daca-host --bin daca reference"
    );
    Ok(())
}

#[test]
fn the_reference_of_the_manifest_is_what_the_code_says() -> anyhow::Result<()> {
    check("manifest.md", |page| {
        TABLES.iter().try_fold(page.to_owned(), |page, table| {
            let begin = format!("<!-- keys: {} -->", table.name);
            put(&page, &begin, "<!-- end of keys -->", &table.markdown())
        })
    })
}

#[test]
fn the_reference_of_the_command_line_is_what_the_code_says() -> anyhow::Result<()> {
    check("command-line.md", |page| {
        let mut command = Arguments::command().term_width(100);
        command.build();
        let mut text = String::new();
        for command in command.get_subcommands_mut() {
            if !command.is_hide_set() && command.get_name() != "help" {
                let help = command.render_long_help().to_string();
                let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
                text +=
                    &format!("### `daca {}`\n\n```text\n{}\n```\n\n", command.get_name(), help.trim_end());
            }
        }
        put(page, "<!-- help -->", "<!-- end of help -->", &text)
    })
}

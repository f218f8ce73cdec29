//! `daca new`: a folder with an agent, its manifest, tests that run, and a README.
//!
//! The folder needs this program and the language's own tools, and nothing else: no SDK is in a registry yet, so each
//! folder has a copy of the one that belongs to this program ([`templates`]).

mod error;
mod name;
mod templates;

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

pub use error::Error;
use name::Name;
use templates::{LANGUAGES, Language};

/// The languages of the templates, as `--lang` takes them.
pub fn languages() -> Vec<&'static str> {
    LANGUAGES.iter().map(|language| language.name).collect()
}

/// Makes the folder `name` in the folder `within`. Returns what to do next. Blocks.
pub fn run(name: &str, language: &str, within: &Path) -> Result<String, Error> {
    let name = Name::parse(name)?;
    let unknown = || Error::Language { name: language.to_owned(), known: languages().join(", ") };
    let language = LANGUAGES.iter().find(|known| known.name == language).ok_or_else(unknown)?;
    let folder = within.join(&name.folder);
    let existed = check_empty(&folder)?;
    write(&folder, &name, language).inspect_err(|_| {
        if !existed {
            std::fs::remove_dir_all(&folder).ok(); // what stays is named by the next attempt
        }
    })?;
    Ok(next(&name, language))
}

/// Returns `true` if the folder exists, and is empty.
fn check_empty(folder: &Path) -> Result<bool, Error> {
    let not_empty = |reason| Err(Error::NotEmpty { folder: folder.to_owned(), reason });
    match std::fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            Some(_) => not_empty("the folder is not empty"),
            None => Ok(true),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotADirectory => not_empty("there is a file of this name"),
        Err(reason) => Err(Error::Unwritable { path: folder.to_owned(), reason }),
    }
}

fn write(folder: &Path, name: &Name, language: &Language) -> Result<(), Error> {
    for (path, content) in language.files(name) {
        let path = folder.join(path);
        let make = |path: &Path| {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            File::create_new(path)?.write_all(&content)
        };
        make(&path).map_err(|reason| Error::Unwritable { path, reason })?;
    }
    for (path, target) in language.links {
        let path = folder.join(path);
        let make = |path: &Path| {
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::os::unix::fs::symlink(target, path)
        };
        make(&path).map_err(|reason| Error::Unwritable { path, reason })?;
    }
    Ok(())
}

fn next(name: &Name, language: &Language) -> String {
    let Name { folder, agent_type, .. } = name;
    let Language { title, test, setup, .. } = language;
    let setup = setup.iter().map(|line| format!("  {line}\n")).collect::<String>();
    format!(
        "{folder}: the agent {agent_type} in {title}. README.md explains it.\n  cd {folder}\n{setup}  daca dev\n  curl localhost:8000/chat/user1 -d '{{\"content\": \"Hi\"}}'\n  {test}\n"
    )
}

#[cfg(test)]
mod tests;

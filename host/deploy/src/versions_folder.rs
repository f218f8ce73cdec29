//! The check of `versions` in `[deploy]`: a folder that is filled from outside, such as a mounted volume, which is often
//! read-only. It may appear later. What can never be one is refused: with it, a mistyped path would go unnoticed.

use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use super::Error;
use daca_base::ErrorCode;
use daca_manifest::DeployRules;

/// The folders whose files are not files: devices, processes, and settings of the kernel.
const SPECIAL: [&str; 3] = ["/dev", "/proc", "/sys"];
/// A file system in memory, for everybody.
const SHARED_MEMORY: &str = "/dev/shm";
/// The entries that are looked at.
const MAX_ENTRIES: usize = 1_000;

/// Checks the folder. Fails if nothing can be deployed from it, whatever happens. Returns a warning if it is missing.
pub fn check_versions_folder(rules: &DeployRules) -> Result<Option<Error>, Error> {
    rules.versions.as_deref().map_or(Ok(None), check)
}

/// Why nothing can be deployed from this folder now.
pub(super) fn problem(folder: &Path) -> Option<Error> {
    check(folder).unwrap_or_else(Some)
}

fn check(folder: &Path) -> Result<Option<Error>, Error> {
    let found = match folder.canonicalize() {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let message = format!("deploy.versions: {} does not exist", folder.display());
            let help = "mount or create it, or remove the key";
            return Ok(Some(Error::new(ErrorCode::VersionsFolderMissing, message, help)));
        }
        Err(error) => return Err(unusable(folder, &error.to_string())),
    };
    if !found.is_dir() {
        return Err(unusable(folder, "it is not a folder"));
    }
    let is_special = SPECIAL.iter().any(|special| found.starts_with(special));
    if is_special && !found.starts_with(SHARED_MEMORY) {
        return Err(unusable(folder, "it is a folder of devices or of the kernel"));
    }
    check_entries(&found).map_err(|reason| unusable(folder, &reason))?;
    Ok(None)
}

/// Opens no entry: that of a device has effects, and that of a pipe never ends.
fn check_entries(folder: &Path) -> Result<(), String> {
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())?.take(MAX_ENTRIES) {
        let kind = entry.and_then(|entry| entry.file_type()).map_err(|error| error.to_string())?;
        if kind.is_char_device() || kind.is_block_device() {
            return Err("there are devices in it".into());
        }
    }
    Ok(())
}

fn unusable(folder: &Path, reason: &str) -> Error {
    let message = format!("deploy.versions: {}: {reason}", folder.display());
    let help = "name a folder of .wasm files that this user may read, or remove the key";
    Error::new(ErrorCode::VersionsFolderUnusable, message, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(folder: &Path) -> Option<ErrorCode> {
        check(folder).map_or_else(|error| Some(error.code), |warning| Some(warning?.code))
    }

    #[test]
    fn only_a_folder_that_can_have_versions_is_taken() -> anyhow::Result<()> {
        let folder = tempfile::TempDir::new()?;
        let file = folder.path().join("file.wasm");
        std::fs::write(&file, "x")?;
        std::os::unix::fs::symlink("/dev", folder.path().join("link"))?;
        assert_eq!(checked(folder.path()), None);
        assert_eq!(checked(&folder.path().join("none")), Some(ErrorCode::VersionsFolderMissing));
        let link = folder.path().join("link");
        for unusable in [&*file, &*link, Path::new("/dev"), Path::new("/proc/self"), Path::new("/dev/null")] {
            assert_eq!(checked(unusable), Some(ErrorCode::VersionsFolderUnusable), "{}", unusable.display());
        }
        Ok(())
    }
}

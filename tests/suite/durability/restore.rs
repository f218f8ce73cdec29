//! Restores that were killed, and restores where there is no room.

use daca_tests::{Host, exerciser, make_pipe, run_in};
use tempfile::TempDir;

use super::backup::{restore, whole_backup};
use super::{SmallDisk, fill_disk};

#[tokio::test]
async fn a_restore_takes_the_place_of_one_that_was_killed_and_of_nothing_else() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let whole = whole_backup(&host).await?;
    let folder = TempDir::new()?;
    let data = folder.path().join("data");
    let unfinished = data.join("restore.unfinished");
    std::fs::create_dir_all(unfinished.join("versions/Exerciser"))?;
    std::fs::write(unfinished.join("state.redb"), "half")?;
    let lock = std::fs::File::open(&unfinished)?;
    lock.try_lock()?;
    let refused = restore(folder.path(), &whole).await?;
    assert!(refused.stderr.starts_with("error[data-in-use]: "), "{refused:?}");
    drop(lock);
    let ended = restore(folder.path(), &whole).await?;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(!unfinished.exists() && data.join("state.redb").exists() && data.join("versions").exists());

    let other = folder.path().join("other");
    std::fs::create_dir(&other)?;
    std::fs::write(other.join("state.redb"), "mine")?;
    std::fs::remove_dir_all(&data)?;
    std::fs::create_dir(&data)?;
    std::os::unix::fs::symlink(&other, &unfinished)?;
    let refused = restore(folder.path(), &whole).await?;
    assert!(refused.stderr.starts_with("error[data-not-empty]: "), "{refused:?}");
    assert_eq!(std::fs::read(other.join("state.redb"))?, b"mine");

    // It would be read twice, and its second reader would wait for ever.
    make_pipe(&folder.path().join("pipe"))?;
    let refused = run_in(folder.path(), ["restore", "pipe", "--data", "elsewhere"]).await?;
    assert!(refused.stderr.starts_with("error[backup-unreadable]: pipe: "), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_restore_replaces_the_parts_that_a_killed_one_has_put_in_place_and_no_others() -> anyhow::Result<()>
{
    let host = Host::start(&exerciser("")).await?;
    let whole = whole_backup(&host).await?;
    let folder = TempDir::new()?;
    let data = folder.path().join("data");
    let unfinished = data.join("restore.unfinished");
    assert_eq!(restore(folder.path(), &whole).await?.code, Some(0));
    // It was killed when some parts were in place. The state file has both names then.
    std::fs::create_dir(&unfinished)?;
    std::fs::hard_link(data.join("state.redb"), unfinished.join("state.redb"))?;
    std::fs::rename(data.join("serving"), unfinished.join("serving"))?;
    std::fs::write(data.join("versions/mark"), "of the killed one")?;
    let ended = restore(folder.path(), &whole).await?;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(!unfinished.exists() && data.join("serving").exists() && !data.join("versions/mark").exists());
    // A state file that is not proven to be its own stays, whatever it is; so does a part that it has still to place.
    for proven in [false, true] {
        std::fs::create_dir(&unfinished)?;
        if proven {
            std::fs::hard_link(data.join("state.redb"), unfinished.join("state.redb"))?;
            std::fs::create_dir(unfinished.join("versions"))?;
        } else {
            std::fs::copy(data.join("state.redb"), unfinished.join("state.redb"))?;
        }
        let refused = restore(folder.path(), &whole).await?;
        assert!(refused.stderr.starts_with("error[data-not-empty]: "), "{refused:?}");
        assert!(data.join("state.redb").exists() && data.join("versions/Exerciser/record.json").exists());
        std::fs::remove_dir_all(&unfinished)?;
    }
    // Killed in its last step, it has left a folder that keeps hosts from starting, and nothing else.
    std::fs::create_dir(&unfinished)?;
    let refused = restore(folder.path(), &whole).await?;
    assert!(refused.stderr.starts_with("error[data-not-empty]: ") && !unfinished.exists(), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_full_disk_is_named_with_its_folder() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    whole_backup(&host).await?;
    let (folder, admin) = (host.folder(), host.admin.trim_start_matches("http://"));
    let disk = folder.path().join("disk");
    let Some(_disk) = SmallDisk::mount(&disk, 1)? else { return Ok(()) };
    fill_disk(&disk.join("filler"))?;
    let help = format!("help: the disk with the folder {} is full", disk.display());
    for (arguments, code) in [
        (&["backup", "--admin", admin, "--output", "disk/whole.daca"][..], "backup-unwritable"),
        (&["restore", "whole.daca", "--data", "disk/data"], "data-unwritable"),
    ] {
        let ended = run_in(folder.path(), arguments).await?;
        assert!(ended.code == Some(1) && ended.stderr.starts_with(&format!("error[{code}]: ")), "{ended:?}");
        assert!(ended.stderr.contains(&help), "{ended:?}");
        assert_eq!(std::fs::read_dir(&disk)?.count(), 1, "the filler alone: {ended:?}");
    }
    Ok(())
}

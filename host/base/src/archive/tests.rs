use super::*;

fn archive(frames: &[(u8, &[u8])]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = ArchiveWriter::new(&mut bytes)?;
    for (kind, content) in frames {
        let (first, second) = content.split_at(content.len() / 2);
        writer.frame(*kind, &[first, second])?;
    }
    writer.finish()?;
    Ok(bytes)
}

fn read(bytes: &[u8]) -> Result<Vec<Frame>, ArchiveError> {
    let mut reader = ArchiveReader::new(bytes)?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        frames.push(frame);
    }
    Ok(frames)
}

const FRAMES: [(u8, &[u8]); 3] = [(1, b"first"), (255, b""), (1, &[0; 70_000])];

#[test]
fn frames_are_read_as_they_were_written() -> anyhow::Result<()> {
    for frames in [&FRAMES[..], &[]] {
        let written = frames.iter().map(|(kind, bytes)| Frame { kind: *kind, bytes: bytes.to_vec() });
        assert_eq!(read(&archive(frames)?)?, written.collect::<Vec<_>>());
    }
    Ok(())
}

#[test]
fn an_archive_that_was_cut_anywhere_is_refused() -> anyhow::Result<()> {
    let whole = archive(&FRAMES)?;
    let near_an_edge = (0..60).chain(whole.len() - 60..whole.len());
    for length in near_an_edge {
        let result = read(&whole[..length]);
        assert!(matches!(result, Err(ArchiveError::Cut)), "{length}: {result:?}");
    }
    Ok(())
}

/// Even one that comes to the same number of frames, or to the same length.
#[test]
fn an_archive_in_which_one_bit_changed_is_refused() -> anyhow::Result<()> {
    let whole = archive(&FRAMES[..2])?;
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut altered = whole.clone();
            altered[place] ^= 1 << bit;
            assert!(read(&altered).is_err(), "byte {place}, bit {bit}");
        }
    }
    let longer = [&whole[..], b"x"].concat();
    assert!(matches!(read(&longer), Err(ArchiveError::Damaged(_))));
    Ok(())
}

#[test]
fn an_archive_of_a_newer_program_is_named_as_such() -> anyhow::Result<()> {
    let mut newer = archive(&FRAMES)?;
    newer[MAGIC.len() + 3] += 1;
    assert!(matches!(read(&newer), Err(ArchiveError::TooNew(2))));
    Ok(())
}

/// A few bytes must not make their reader allocate gigabytes.
#[test]
fn a_frame_that_announces_more_than_there_is_costs_no_memory() {
    let head = [&MAGIC[..], &FORMAT.to_be_bytes(), &[1]].concat();
    let announcing = |length: u32| [&head[..], &length.to_be_bytes()].concat();
    assert!(matches!(read(&announcing(u32::MAX)), Err(ArchiveError::Damaged(_))));
    assert!(matches!(read(&announcing(MAX_FRAME as u32)), Err(ArchiveError::Cut)));
}

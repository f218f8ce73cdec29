//! `daca explain`: what an error code means.

use daca_tests::{Ended, run_in};
use tempfile::TempDir;

async fn explain(arguments: &[&str]) -> anyhow::Result<Ended> {
    let folder = TempDir::new()?;
    run_in(folder.path(), [&["explain"][..], arguments].concat()).await
}

#[tokio::test]
async fn explain_prints_the_page_of_a_code() -> anyhow::Result<()> {
    let Ended { code, stdout, stderr } = explain(&["host-busy"]).await?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors/host-busy.md");
    assert_eq!(stdout, std::fs::read_to_string(page)?);
    Ok(())
}

#[tokio::test]
async fn explain_without_a_code_lists_all_with_their_classes() -> anyhow::Result<()> {
    let Ended { code, stdout, stderr } = explain(&[]).await?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let lines = stdout.lines().map(|line| line.split_once(' ').unwrap_or_default());
    let classes = lines.map(|(code, class)| (code, class.trim())).collect::<Vec<_>>();
    for known in [("accept-failed", "notice"), ("host-busy", "unavailable"), ("manifest-syntax", "setup")] {
        assert!(classes.contains(&known), "{known:?} is missing in:\n{stdout}");
    }
    Ok(())
}

#[tokio::test]
async fn explain_names_the_codes_that_resemble_an_unknown_one() -> anyhow::Result<()> {
    let Ended { code, stdout, stderr } = explain(&["host-bussy"]).await?;
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.starts_with("error[code-unknown]: \"host-bussy\" "), "{stderr}");
    assert!(stderr.contains("\n  help: did you mean host-busy"), "{stderr}");
    Ok(())
}

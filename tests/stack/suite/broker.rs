//! Kafka outlives its own end: its messages are there when it is started again.

use std::io::{Seek as _, Write as _};

use daca_stack::{Kafka, build};
use daca_tests::{TIMEOUT, ports};

#[tokio::test]
async fn kafka_keeps_its_messages_when_it_is_stopped_and_when_it_is_killed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let kafka = Kafka::start(&build::kafka()?, folder.path(), ports::free()?).await?;
    kafka.create_topic("letters", 1).await?;
    kafka.create_topic("letters", 1).await?;
    kcat(&kafka, &["-P", "-t", "letters", "-l", "/dev/stdin"], "a\nb\n").await?;
    let read = ["-C", "-t", "letters", "-e", "-q"];

    kafka.process.stop().await?;
    kafka.start_again().await?;
    assert_eq!(kcat(&kafka, &read, "").await?, "a\nb\n");

    kafka.process.kill()?;
    kafka.start_again().await?;
    assert_eq!(kcat(&kafka, &read, "").await?, "a\nb\n");
    Ok(())
}

/// What `kcat` prints, with this input.
pub(crate) async fn kcat(kafka: &Kafka, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let mut file = tempfile::tempfile()?;
    file.write_all(input.as_bytes())?;
    file.rewind()?;
    let mut command = tokio::process::Command::new(build::kcat()?);
    command.args(["-b", &kafka.address()]).args(arguments).stdin(file).kill_on_drop(true);
    let output = tokio::time::timeout(TIMEOUT, command.output()).await??;
    anyhow::ensure!(output.status.success(), "kcat: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

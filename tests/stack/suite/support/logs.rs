//! What the hosts of a [`Chat`] have logged. Fields and codes say what happened; the host's sentences may change.

use daca_stack::App;
use serde_json::Value;

use super::{Chat, eventually};

/// How many lines of a host's log have all these fields, such as a `code` and a `level`.
pub(crate) fn lines_with(app: &App, fields: &[(&str, &str)]) -> anyhow::Result<usize> {
    let has_all = |line: &&Value| fields.iter().all(|(name, text)| line[*name] == *text);
    Ok(app.log()?.iter().filter(has_all).count())
}

impl Chat {
    /// How many lines of the hosts' logs have all these fields.
    pub(crate) fn count_with(&self, fields: &[(&str, &str)]) -> anyhow::Result<usize> {
        let mut count = 0;
        for host in &self.hosts {
            count += lines_with(&host.app, fields)?;
        }
        Ok(count)
    }

    /// Waits until a host logs a line with all these fields.
    pub(crate) async fn until_with(&self, fields: &[(&str, &str)]) -> anyhow::Result<()> {
        eventually(&format!("a line with {fields:?} is logged"), async || {
            Ok((self.count_with(fields)? > 0).then_some(()))
        })
        .await
    }

    /// How many lines of the hosts' logs have a message with this text, which is an agent's or the manifest's.
    pub(crate) fn count_logged(&self, text: &str) -> anyhow::Result<usize> {
        let mut count = 0;
        for host in &self.hosts {
            let lines = host.app.log()?;
            count += lines
                .iter()
                .filter(|line| line["message"].as_str().is_some_and(|m| m.contains(text)))
                .count();
        }
        Ok(count)
    }

    /// Waits until a host logs a text, which is an agent's or the manifest's.
    pub(crate) async fn until_logged(&self, text: &str) -> anyhow::Result<()> {
        eventually(&format!("{text:?} is logged"), async || Ok((self.count_logged(text)? > 0).then_some(())))
            .await
    }

    /// Neither a host nor a sidecar logged an error. A host that a starved machine did not let answer in time is given up for a
    /// moment by its sidecar, and says so; the turns of that moment are not done, and are repeated. So is a sidecar by Kafka.
    pub(crate) fn no_errors_logged(&self) -> anyhow::Result<()> {
        for host in &self.hosts {
            for line in host.app.log()? {
                // Of a stack without Kafka it says, as it should, that the binding is not there.
                let has_no_kafka = self.stack.kafka.is_none() && line["code"] == "dapr-component-absent";
                let was_given_up = line["code"] == "sidecar-unavailable" || line["code"] == "not-done";
                let is_expected = has_no_kafka || was_given_up;
                let is_trouble = line["level"] == "ERROR" || line["level"] == "WARN";
                anyhow::ensure!(is_expected || !is_trouble, "the host: {line}");
            }
            for line in host.sidecar.process.log_lines()? {
                // It could not tell Kafka in time that it lives, and gets its partitions again, with the message.
                let was_given_up = line.contains("attempts at processing Kafka message")
                    && line.contains("context canceled");
                let is_error = line.contains("\"level\":\"error\"");
                anyhow::ensure!(was_given_up || !is_error, "the sidecar: {line}");
            }
        }
        Ok(())
    }
}

//! The lines about output bindings. There is no external system: the log and the outbox show what it would have received.
//!
//! The content is an agent's, and so are the number and the length of the lines. So they count as the agent's own: beyond
//! the share of its type in the log, they are dropped.

use std::sync::Arc;

use daca_base::telemetry::{MAX_TEXT, printable};
use daca_model::backend::{BindingRequest, Inbound};

/// Logs a request of an agent type. `effect_id` is that of a sent one.
pub(super) fn log_binding(
    inbound: Option<&Arc<dyn Inbound>>,
    agent_type: &str,
    effect_id: Option<&str>,
    request: &BindingRequest,
) {
    if !is_within_share(inbound, agent_type, request) {
        return;
    }
    let BindingRequest { name, operation, data, metadata } = request;
    let verb = if effect_id.is_some() { "sent to" } else { "invoked" };
    let line = || {
        let data = String::from_utf8_lossy(data.get(..MAX_TEXT).unwrap_or(data));
        format!("{verb} binding {name}, operation {operation}, metadata {metadata:?}: {data}")
    };
    tracing::info!(target: "daca::outbox", effect_id, "{}", printable(&line()));
}

/// Takes the line out of the share of the type. Nobody counts before the host serves.
fn is_within_share(inbound: Option<&Arc<dyn Inbound>>, agent_type: &str, request: &BindingRequest) -> bool {
    let BindingRequest { name, operation, data, metadata } = request;
    let metadata = metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    let bytes = (name.len() + operation.len() + data.len() + metadata).min(MAX_TEXT);
    inbound.is_none_or(|inbound| inbound.may_log(agent_type, bytes))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use daca_base::json::Document;
    use daca_model::backend::{EventOutcome, FiredWakeup};
    use daca_model::{ActorAddress, CallError};
    use parking_lot::Mutex;

    use super::*;

    /// A host whose types may log so many bytes more.
    struct Rate(Mutex<usize>);

    #[async_trait::async_trait]
    impl Inbound for Rate {
        async fn wake(&self, _: ActorAddress, _: FiredWakeup, _: Bytes) -> Result<(), CallError> {
            Ok(())
        }

        async fn event(&self, _: &str, _: &Document) -> EventOutcome {
            EventOutcome::Success
        }

        fn may_log(&self, agent_type: &str, bytes: usize) -> bool {
            assert_eq!(agent_type, "A");
            let mut left = self.0.lock();
            let after = left.checked_sub(bytes);
            *left = after.unwrap_or(*left);
            after.is_some()
        }
    }

    #[test]
    fn the_lines_about_bindings_count_for_the_agent_type() {
        let inbound: Arc<dyn Inbound> = Arc::new(Rate(Mutex::new(2 * MAX_TEXT + 100)));
        let request = |bytes: usize| BindingRequest {
            name: "mail".to_owned(),
            operation: "create".to_owned(),
            data: vec![b'x'; bytes].into(),
            metadata: Default::default(),
        };
        let logs = |bytes| is_within_share(Some(&inbound), "A", &request(bytes));
        assert!(logs(1_000_000) && logs(1_000_000), "what is cut does not count");
        assert!(!logs(100) && logs(90), "a hundred bytes are left, and ten are the names");
        assert!(is_within_share(None, "A", &request(1_000_000)));
    }
}

//! `GET /logs`: the last lines of the log, of everything, an agent type or an actor, and new ones as they are written.
//!
//! The actor of a line is determined when it is read: readers pay for that, not writers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::admin_state::DEFAULT_LIMIT;
use super::answer::HttpError;
use daca_base::ErrorCode;
use daca_base::json;
use daca_base::telemetry::{Batch, LineReader, RecentLines};
use daca_model::CallError;
use daca_model::admin::LogLine;
use daca_runtime::actor::Actors;

/// The maximum number of concurrent followers.
const MAX_FOLLOWERS: usize = 16;
/// The interval of empty lines to a follower without news. A client that is gone looks like one that has only closed
/// its sending side: the kernel answers the first write after that with a reset, and the second one fails. So its place
/// is free after two intervals at the latest.
const HEARTBEAT: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct LogState {
    log: RecentLines,
    actors: Actors,
    followers: Arc<Semaphore>,
    stopping: CancellationToken,
}

/// Creates the router. Followers end when `stopping` is cancelled.
pub(super) fn router(log: RecentLines, actors: Actors, stopping: CancellationToken) -> Router {
    let followers = Arc::new(Semaphore::new(MAX_FOLLOWERS));
    Router::new().route("/logs", get(logs)).with_state(LogState { log, actors, followers, stopping })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    r#type: Option<String>,
    id: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    follow: bool,
}

async fn logs(
    State(state): State<LogState>,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Response, HttpError> {
    let Query(query) = query.map_err(|error| HttpError::new(ErrorCode::QueryInvalid, error.body_text()))?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let filter = Filter::new(query.r#type, query.id, &state.actors)?;
    let place = if query.follow { Some(place(&state.followers)?) } else { None };
    let mut reader = state.log.reader();
    let last = last_lines(filter.clone(), reader.read().lines, limit).await?;
    let body = match place {
        None => Body::from(last),
        Some(place) => follow(Follower {
            last: Some(last),
            filter,
            reader,
            heartbeat: heartbeat(),
            stopping: state.stopping,
            _permit: place,
        }),
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

fn place(followers: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, HttpError> {
    followers.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{MAX_FOLLOWERS} clients follow the log already, which is the maximum.");
        HttpError::new(ErrorCode::LogFollowersExceeded, detail)
    })
}

/// The last matching lines, up to `limit`. They may have several megabytes, which are read as JSON.
async fn last_lines(filter: Filter, lines: Vec<Arc<str>>, limit: usize) -> Result<Bytes, HttpError> {
    let read = tokio::task::spawn_blocking(move || filter.last(&lines, limit));
    read.await.map_err(|_panicked| CallError::Internal.into())
}

/// The filter of a request.
#[derive(Clone)]
enum Filter {
    All,
    Type(String),
    Actor { agent_type: String, id: String },
}

/// The actor of a line: that of its turn or, outside a turn, of the line itself.
#[derive(Deserialize)]
struct OwnedLine {
    #[serde(flatten)]
    own: Owner,
    #[serde(default)]
    span: Owner,
}

#[derive(Default, Deserialize)]
struct Owner {
    agent_type: Option<String>,
    actor_id: Option<String>,
}

impl Filter {
    fn new(agent_type: Option<String>, id: Option<String>, actors: &Actors) -> Result<Filter, HttpError> {
        if let Some(name) = &agent_type
            && !actors.agents().iter().any(|(agent, _)| *agent.agent.name == **name)
        {
            return Err(CallError::UnknownAgentType(name.clone()).into());
        }
        match (agent_type, id) {
            (None, None) => Ok(Filter::All),
            (Some(agent_type), None) => Ok(Filter::Type(agent_type)),
            (Some(agent_type), Some(id)) => Ok(Filter::Actor { agent_type, id }),
            (None, Some(_)) => Err(HttpError::new(
                ErrorCode::QueryInvalid,
                "The parameter \"id\" alone does not name an actor: add its \"type\".",
            )),
        }
    }

    fn takes(&self, line: &str) -> bool {
        let (wanted_type, wanted_id) = match self {
            Filter::All => return true,
            Filter::Type(agent_type) => (agent_type, None),
            Filter::Actor { agent_type, id } => (agent_type, Some(id)),
        };
        let Ok(OwnedLine { own, span }) = json::read(line.as_bytes()) else { return false };
        let owner = if own.agent_type.is_some() { own } else { span };
        owner.agent_type.as_ref() == Some(wanted_type)
            && wanted_id.is_none_or(|id| owner.actor_id.as_ref() == Some(id))
    }

    /// The last matching lines, up to `limit`.
    fn last(&self, lines: &[Arc<str>], limit: usize) -> Bytes {
        let wanted = lines.iter().rev().filter(|line| self.takes(line)).take(limit);
        let mut wanted = wanted.collect::<Vec<_>>();
        wanted.reverse();
        let mut text = String::with_capacity(wanted.iter().map(|line| line.len() + 1).sum());
        for line in wanted {
            text.push_str(line);
            text.push('\n');
        }
        text.into()
    }
}

/// A follower.
struct Follower {
    /// The matching lines at its start.
    last: Option<Bytes>,
    filter: Filter,
    reader: LineReader,
    heartbeat: Interval,
    stopping: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

fn heartbeat() -> Interval {
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.reset();
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

fn follow(follower: Follower) -> Body {
    Body::from_stream(futures::stream::unfold(follower, |mut follower| async move {
        let bytes = follower.next().await?;
        Some((Ok::<_, Infallible>(bytes), follower))
    }))
}

impl Follower {
    /// The next lines; `None` when the host ends.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(last) = self.last.take().filter(|last| !last.is_empty()) {
            return Some(last);
        }
        loop {
            tokio::select! {
                // The last lines before the end are wanted, too.
                biased;
                () = self.reader.changed() => {}
                () = self.stopping.cancelled() => return None,
                _ = self.heartbeat.tick() => return Some(Bytes::from_static(b"\n")),
            }
            let Batch { lines, missed } = self.reader.read();
            let lines = last_lines(self.filter.clone(), lines, usize::MAX).await.ok()?;
            match (missed, lines.is_empty()) {
                (0, true) => {}
                (0, false) => return Some(lines),
                _ => return Some([lines_missed(missed).into_bytes(), lines.to_vec()].concat().into()),
            }
        }
    }
}

/// A line of the log for a follower that was too slow.
fn lines_missed(missed: u64) -> String {
    let line = LogLine {
        timestamp: format!("{:.6}", Timestamp::now()),
        level: "WARN".to_owned(),
        message: format!("{missed} lines of the log, of any actors, were dropped before they were read"),
        code: Some(ErrorCode::LogLinesMissed.to_string()),
        target: Some(module_path!().to_owned()),
        span: None,
        agent_type: None,
        actor_id: None,
    };
    format!("{}\n", json!(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent must not appear in another one's log, whatever it writes into its own.
    #[test]
    fn a_line_belongs_to_whom_the_host_says() {
        let filter = Filter::Actor { agent_type: "A".into(), id: "1".into() };
        for (line, expected) in [
            (r#"{"message":"m","span":{"agent_type":"A","actor_id":"1","turn":"t"}}"#, true),
            (r#"{"message":"m","agent_type":"A","actor_id":"1"}"#, true),
            (r#"{"message":"m","span":{"agent_type":"A","actor_id":"2"}}"#, false),
            (r#"{"message":"m","span":{"agent_type":"B","actor_id":"1"}}"#, false),
            (
                r#"{"message":"\",\"span\":{\"agent_type\":\"A\",\"actor_id\":\"1\"}","span":{"agent_type":"B"}}"#,
                false,
            ),
            (
                r#"{"message":"m","agent_type":"B","actor_id":"1","span":{"agent_type":"A","actor_id":"1"}}"#,
                false,
            ),
            (r#"{"message":"m"}"#, false),
            ("no JSON", false),
        ] {
            assert_eq!(filter.takes(line), expected, "{line}");
        }
    }
}

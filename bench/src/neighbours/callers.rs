//! The callers of an attack: each makes its next call when it has the answer to its last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use daca_tests::client;
use reqwest::Client;
use tokio::task::JoinSet;

/// What a caller waits after a refusal: it would otherwise be an attack of requests, rather than of agents.
const PAUSE: Duration = Duration::from_millis(100);

/// Calls of one kind.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    /// The first part of the route's path; the actor's id is the second.
    path: &'static str,
    /// The body. `{number}` in it stands for the number of the call.
    body: String,
    callers: usize,
    /// The actors that are called in turn.
    actors: usize,
    /// Calls, at most.
    most: usize,
}

impl Calls {
    /// So many callers call as many actors, without a body, again and again.
    pub(super) fn of(path: &'static str, callers: usize) -> Calls {
        Calls { path, body: String::new(), callers, actors: callers, most: usize::MAX }
    }

    /// With this body.
    pub(super) fn with_body(self, body: impl ToString) -> Calls {
        Calls { body: body.to_string(), ..self }
    }

    /// Of so many actors.
    pub(super) fn of_actors(self, actors: usize) -> Calls {
        Calls { actors, ..self }
    }

    /// So many calls in all.
    pub(super) fn at_most(self, most: usize) -> Calls {
        Calls { most, ..self }
    }
}

/// Makes the calls as long as the set lives.
pub(super) fn begin(all: &[Calls], server: SocketAddr) -> anyhow::Result<JoinSet<()>> {
    let client = client()?;
    let mut callers = JoinSet::new();
    for calls in all {
        let next = Arc::new(AtomicUsize::new(0));
        for _ in 0..calls.callers {
            callers.spawn(call(client.clone(), server, calls.clone(), next.clone()));
        }
    }
    Ok(callers)
}

async fn call(client: Client, server: SocketAddr, calls: Calls, next: Arc<AtomicUsize>) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= calls.most {
            return;
        }
        let url = format!("http://{server}/{}/{}", calls.path, number % calls.actors);
        let body = calls.body.replace("{number}", &number.to_string());
        if !is_done(&client, &url, body).await {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Makes a call, whatever is answered. Returns `false` if it was refused or failed.
async fn is_done(client: &Client, url: &str, body: String) -> bool {
    let Ok(answer) = client.post(url).body(body).send().await else { return false };
    let is_done = answer.status().is_success();
    // Read, so that the connection serves the next call.
    answer.bytes().await.is_ok() && is_done
}

//! The callers of an attack: each makes its next call when it has the answer to its last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use daca_tests::client;
use reqwest::Client;
use tokio::runtime::{Builder, Runtime};

use super::slow_body;

/// What a caller waits after a refusal: it would otherwise be an attack of requests, rather than of agents.
const PAUSE: Duration = Duration::from_millis(100);
/// What stands in a body for the number of the call.
const NUMBER: &str = "{number}";

/// Calls of one kind.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    /// The first part of the route's path; the actor's id is the second.
    path: &'static str,
    body: Bytes,
    /// [`NUMBER`] is in the body.
    is_numbered: bool,
    /// The body is another one, which arrives slowly.
    is_slow: bool,
    callers: usize,
    /// The actors that are called in turn.
    actors: usize,
    /// Calls, at most.
    most: usize,
}

impl Calls {
    /// So many callers call as many actors, without a body, again and again.
    pub(super) fn of(path: &'static str, callers: usize) -> Calls {
        Calls {
            path,
            body: Bytes::new(),
            is_numbered: false,
            is_slow: false,
            callers,
            actors: callers,
            most: usize::MAX,
        }
    }

    /// With this body. `{number}` in it stands for the number of the call.
    pub(super) fn with_body(self, body: impl ToString) -> Calls {
        let body = body.to_string();
        Calls { is_numbered: body.contains(NUMBER), body: body.into(), ..self }
    }

    /// With a body that hardly arrives, on a connection for each caller.
    pub(super) fn slowly(self) -> Calls {
        Calls { is_slow: true, ..self }
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

impl Calls {
    /// The body of a call. All calls have the same bytes in memory, if they need no number: there are hundreds of them.
    fn body_of(&self, number: usize) -> Bytes {
        if !self.is_numbered {
            return self.body.clone();
        }
        String::from_utf8_lossy(&self.body).replace(NUMBER, &number.to_string()).into()
    }
}

/// Callers at work, until they are dropped.
pub(super) struct Callers(Option<Runtime>);

impl Drop for Callers {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Makes the calls. They have a thread of their own: large bodies would otherwise hold up the callers of the neighbour, and
/// what they wait would count as the host's.
pub(super) fn begin(all: &[Calls], server: SocketAddr) -> anyhow::Result<Callers> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = client()?;
    for calls in all {
        let next = Arc::new(AtomicUsize::new(0));
        for _ in 0..calls.callers {
            runtime.spawn(call(client.clone(), server, calls.clone(), next.clone()));
        }
    }
    Ok(Callers(Some(runtime)))
}

async fn call(client: Client, server: SocketAddr, calls: Calls, next: Arc<AtomicUsize>) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= calls.most {
            return;
        }
        let path = format!("/{}/{}", calls.path, number % calls.actors);
        if calls.is_slow {
            slow_body::send(server, &path).await;
            continue;
        }
        if !is_done(&client, &format!("http://{server}{path}"), calls.body_of(number)).await {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Makes a call, whatever is answered. Returns `false` if it was refused or failed.
async fn is_done(client: &Client, url: &str, body: Bytes) -> bool {
    let Ok(answer) = client.post(url).body(body).send().await else { return false };
    let is_done = answer.status().is_success();
    // Read, so that the connection serves the next call.
    answer.bytes().await.is_ok() && is_done
}

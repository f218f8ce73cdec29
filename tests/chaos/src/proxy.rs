//! A proxy in front of a server, which cuts, delays and half-opens the connections through it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use daca_tests::ports;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::{JoinHandle, JoinSet};

use crate::fault::Trouble;

/// Further connections are reset.
const MAX_CONNECTIONS: usize = 2_000;
const BUFFER: usize = 16 << 10;
/// How late each piece of what is sent is while connections are slow.
const DELAY: Duration = Duration::from_millis(250);

/// What happens to the connections now; nothing as a rule.
type State = Option<Trouble>;

/// A running proxy. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) port: u16,
    target: Arc<AtomicU16>,
    state: Sender<State>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts one on a free port of loopback. Until [`Proxy::lead_to`] says where it leads, its connections are reset.
    pub(crate) async fn start() -> anyhow::Result<Proxy> {
        let port = ports::free()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let target = Arc::new(AtomicU16::new(0));
        let (state, observed) = channel(None);
        let accepting = tokio::spawn(accept(listener, target.clone(), observed));
        Ok(Proxy { port, target, state, accepting })
    }

    /// Says which port of loopback it leads to.
    pub(crate) fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::Relaxed);
    }

    /// Changes what happens to the connections, those that are there and those that come.
    pub(crate) fn trouble(&self, state: State) {
        self.state.send_replace(state);
    }

    /// Its address, `127.0.0.1:port`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: Arc<AtomicU16>, state: Receiver<State>) {
    // Dropped with this task, which ends all of them.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((client, _)) if connections.len() < MAX_CONNECTIONS => {
                connections.spawn(serve(client, target.load(Ordering::Relaxed), state.clone()));
            }
            Ok((client, _)) => reset(client),
            // Out of file descriptors, for example.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut client: TcpStream, target: u16, mut state: Receiver<State>) {
    let now = *state.borrow_and_update();
    let end = match now {
        Some(end @ (Trouble::Cut | Trouble::HalfOpen)) => Some(end),
        _ => match TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await {
            Ok(mut server) => carry(&mut client, &mut server, &state).await,
            Err(_) => Some(Trouble::Cut),
        },
    };
    // Here the server's side is closed.
    match end {
        Some(Trouble::HalfOpen) => {
            swallow(&mut client, state).await;
            reset(client);
        }
        Some(_) => reset(client),
        None => {}
    }
}

/// Carries bytes both ways until both sides have ended, or until something breaks the connection, which is the answer.
async fn carry(client: &mut TcpStream, server: &mut TcpStream, state: &Receiver<State>) -> State {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let both = async {
        tokio::join!(pump(from_client, to_server, state), pump(from_server, to_client, state));
    };
    tokio::select! {
        () = both => None,
        end = broken(state.clone()) => Some(end),
    }
}

/// Carries bytes one way. Its end is passed on, however it came.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, state: &Receiver<State>) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let is_slow = *state.borrow() == Some(Trouble::Delay);
        if is_slow {
            tokio::time::sleep(DELAY).await;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    // The other side may be gone.
    to.shutdown().await.ok();
}

/// Waits until connections break.
async fn broken(mut state: Receiver<State>) -> Trouble {
    loop {
        let now = *state.borrow_and_update();
        if let Some(end @ (Trouble::Cut | Trouble::HalfOpen)) = now {
            return end;
        }
        if state.changed().await.is_err() {
            // The proxy ends, and this with it.
            std::future::pending::<()>().await;
        }
    }
}

/// Takes what the client sends to nobody, until connections work again or the client ends its own.
async fn swallow(client: &mut TcpStream, mut state: Receiver<State>) {
    let mut buffer = vec![0; BUFFER];
    let reading = async { while let Ok(1..) = client.read(&mut buffer).await {} };
    let works = async { drop(state.wait_for(|state| *state != Some(Trouble::HalfOpen)).await) };
    tokio::select! {
        () = reading => {}
        () = works => {}
    }
}

/// Closes a connection so that the peer gets an error, and not an end.
fn reset(stream: TcpStream) {
    // Then it is closed as others are.
    stream.set_zero_linger().ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each byte with itself.
    async fn echo() -> anyhow::Result<(u16, JoinHandle<()>)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        stream.write_u8(byte).await.ok();
                    }
                });
            }
        });
        Ok((port, task))
    }

    async fn connected(proxy: &Proxy) -> anyhow::Result<TcpStream> {
        Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).await?)
    }

    async fn answered(stream: &mut TcpStream) -> std::io::Result<u8> {
        stream.write_u8(7).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn connections_are_carried_cut_and_carried_again() -> anyhow::Result<()> {
        let (port, _echo) = echo().await?;
        let proxy = Proxy::start().await?;
        proxy.lead_to(port);
        let mut stream = connected(&proxy).await?;
        assert_eq!(answered(&mut stream).await?, 7);
        proxy.trouble(Some(Trouble::Cut));
        assert!(stream.read_u8().await.is_err(), "what was open is cut");
        // The system accepts it, and the proxy resets it.
        assert!(answered(&mut connected(&proxy).await?).await.is_err());
        proxy.trouble(None);
        assert_eq!(answered(&mut connected(&proxy).await?).await?, 7);
        Ok(())
    }

    #[tokio::test]
    async fn a_half_open_connection_takes_everything_and_is_reset_when_all_is_well_again()
    -> anyhow::Result<()> {
        let (port, _echo) = echo().await?;
        let proxy = Proxy::start().await?;
        proxy.lead_to(port);
        let mut old = connected(&proxy).await?;
        assert_eq!(answered(&mut old).await?, 7);
        proxy.trouble(Some(Trouble::HalfOpen));
        let mut new = connected(&proxy).await?;
        for stream in [&mut old, &mut new] {
            let waiting = tokio::time::timeout(Duration::from_millis(100), answered(stream)).await;
            assert!(waiting.is_err(), "nothing comes back, and nothing fails");
        }
        proxy.trouble(None);
        for stream in [&mut old, &mut new] {
            assert!(stream.read_u8().await.is_err());
        }
        Ok(())
    }

    #[tokio::test]
    async fn what_is_late_arrives() -> anyhow::Result<()> {
        let (port, _echo) = echo().await?;
        let proxy = Proxy::start().await?;
        proxy.lead_to(port);
        proxy.trouble(Some(Trouble::Delay));
        let start = std::time::Instant::now();
        assert_eq!(answered(&mut connected(&proxy).await?).await?, 7);
        assert!(start.elapsed() >= 2 * DELAY);
        Ok(())
    }
}

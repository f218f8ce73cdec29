//! A body that arrives as slowly as it may: its connection and its request are taken for a minute.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The bytes that the head promises: more than arrive in the time that a body may take.
const BODY: usize = 1_000_000;
/// What arrives in a second: somewhat more than must.
const PIECE: [u8; 5_000] = [b' '; 5_000];
const EVERY: Duration = Duration::from_secs(1);

/// Sends it on a connection of its own, until it is answered. After a refusal the next one begins a second later.
pub(super) async fn send(server: SocketAddr, path: &str) {
    until_answered(server, path).await.ok(); // whatever ended it
    tokio::time::sleep(EVERY).await;
}

async fn until_answered(server: SocketAddr, path: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {server}\r\ncontent-type: application/json\r\ncontent-length: {BODY}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let (mut answer, mut body) = stream.split();
    let (mut ticks, mut beginning) = (tokio::time::interval(EVERY), [0; 64]);
    loop {
        tokio::select! {
            // An answer, or the end of the connection.
            read = answer.read(&mut beginning) => return read.map(drop),
            _ = ticks.tick() => body.write_all(&PIECE).await?,
        }
    }
}

//! Answers that are too long, or do not come.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use super::*;

/// A server that answers one request with this status line and header, and a body of this length.
fn server(head: &'static str, length: usize) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        for line in BufReader::new(stream.try_clone()?).lines() {
            if line?.is_empty() {
                break;
            }
        }
        write!(stream, "HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n")?;
        stream.write_all(&vec![b' '; length])
    });
    Ok(address)
}

#[tokio::test]
async fn an_answer_has_a_maximum_length_and_a_refusal_keeps_its_code() -> std::io::Result<()> {
    for (head, length, expected) in [
        ("200 OK", MAX_ANSWER + 1, "the answer cannot be understood: it has more than 67108864 bytes"),
        ("503 No\r\ndaca-error: host-busy", MAX_REFUSAL + 1, "503: the reason has more than 65536 bytes"),
    ] {
        let admin = Admin::new(&server(head, length)?, None).map_err(std::io::Error::other)?;
        let error = admin.get("/agents").await.expect_err(head);
        assert_eq!(error.to_string(), expected);
        if let Error::Refused { code, .. } = error {
            assert_eq!(code, "host-busy");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_error_names_the_url_of_a_closed_port_once() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::Output)?;
    let address = listener.local_addr().map_err(Error::Output)?.to_string();
    drop(listener);
    let error = Admin::new(&address, None)?.get("/agents").await.expect_err("the port is closed").to_string();
    assert!(error.starts_with(&format!("http://{address}/agents: ")), "{error}");
    assert_eq!(error.matches(&address).count(), 1, "{error}");
    Ok(())
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_given_up() -> Result<(), Error> {
    // The system takes the connection, and nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::Output)?;
    let address = listener.local_addr().map_err(Error::Output)?.to_string();
    let admin = Admin::new(&address, None)?;
    let question = admin.send(admin.request(Method::GET, "/agents"));
    let error = admin.within(Duration::from_millis(50), question).await.expect_err("it is silent");
    assert_eq!(error.to_string(), format!("{address}: no answer within 50ms"));
    assert!(error.explanation().is_some_and(|explanation| explanation.help.is_some()));
    Ok(())
}

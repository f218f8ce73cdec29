//! The edge, as its clients see it.

use super::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const SEND: &str = "POST /2010-04-01/Accounts/AC1/Messages.json HTTP/1.1\r\nHost: api.twilio.com\r\n\
    Connection: close\r\nAuthorization: Basic QUMxOnRva2Vu\r\n\
    Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 32\r\n\r\n\
    To=%2B1&From=%2B2&Body=a+b%26c+d";

async fn connected(port: u16, host: &str) -> anyhow::Result<(TcpStream, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok((stream, String::from_utf8(head)?))
}

async fn send(twilio: &Twilio) -> anyhow::Result<String> {
    let (stream, _) = connected(twilio.address.port(), "api.twilio.com:443").await?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&twilio.ca)?)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(ServerName::try_from(HOST)?, stream).await?;
    stream.write_all(SEND.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn an_sms_is_received_through_tls_and_answered_as_told() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let twilio = Twilio::start(folder.path()).await?;
    assert!(send(&twilio).await?.starts_with("HTTP/1.1 201 "));
    let received = twilio.received();
    let expected = Sms {
        at: received[0].at,
        method: "POST".into(),
        path: "/2010-04-01/Accounts/AC1/Messages.json".into(),
        authorization: "Basic QUMxOnRva2Vu".into(),
        content_type: "application/x-www-form-urlencoded".into(),
        to: "+1".into(),
        from: "+2".into(),
        body: "a b&c d".into(),
    };
    assert_eq!(received, [expected]);

    twilio.behave(Behaviour::Answer(429));
    let answer = send(&twilio).await?;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\"code\":20429"), "{answer}");

    twilio.behave(Behaviour::Reset);
    assert!(!send(&twilio).await.unwrap_or_default().starts_with("HTTP/"));

    twilio.behave(Behaviour::Never);
    let is_received = async || Ok((twilio.received().len(), twilio.count()) == (4, 4));
    tokio::select! {
        answer = send(&twilio) => anyhow::bail!("it was answered: {answer:?}"),
        received = daca_tests::eventually("the fourth is received", is_received) => received?,
    }
    Ok(())
}

#[tokio::test]
async fn the_proxy_leads_nowhere_else() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let twilio = Twilio::start(folder.path()).await?;
    let (_, head) = connected(twilio.address.port(), "example.com:443").await?;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    Ok(())
}

//! Addresses on the command line: where a host listens, and which host a command calls. Both may be written as the log
//! prints them, `http://HOST:PORT`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Parses a listening address. `localhost` is 127.0.0.1.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = parts(text, true)?;
    match host {
        HostPart::Address(address) => Ok(SocketAddr::new(address, port)),
        HostPart::Name(name) if name.eq_ignore_ascii_case("localhost") => {
            Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
        }
        HostPart::Name(_) => Err(format!("{FORM}; the host is an IP address or localhost")),
    }
}

/// Parses the address of a host, and returns it as `HOST:PORT`. Texts that a URL would interpret differently, such as a
/// number as an address, are rejected: a token goes there.
pub fn peer(text: &str) -> Result<String, String> {
    let (host, port) = parts(text, false)?;
    Ok(match host {
        HostPart::Address(address) => SocketAddr::new(address, port).to_string(),
        HostPart::Name(name) => format!("{name}:{port}"),
    })
}

/// The help for other formats.
const FORM: &str = "write it as HOST:PORT, such as 127.0.0.1:8001";

enum HostPart<'a> {
    Address(IpAddr),
    Name(&'a str),
}

fn parts(text: &str, is_any_port: bool) -> Result<(HostPart<'_>, u16), String> {
    let text = text.trim();
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest.strip_suffix('/').unwrap_or(rest),
        Some(_) => return Err(format!("only http:// is supported; {FORM}")),
        None => text,
    };
    let (host, port) = rest.rsplit_once(':').ok_or_else(|| format!("the port is missing; {FORM}"))?;
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| is_number && (is_any_port || *port != 0));
    let port = port.ok_or_else(|| format!("the port is not a valid port number; {FORM}"))?;
    let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::from),
    };
    match address {
        Some(address) => Ok((HostPart::Address(address), port)),
        None if is_name(host) => Ok((HostPart::Name(host), port)),
        None => Err(format!("{host:?} is neither an IP address nor a name; {FORM}")),
    }
}

/// Returns `true` for a DNS name. One whose last part is a number, in digits or as `0x…`, would be read as an address.
fn is_name(host: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host).to_ascii_lowercase();
    let is_number = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    host.split('.').all(is_part) && !is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_listens_where_it_is_told_in_any_notation() {
        for (text, expected) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::1]:8000", "[::1]:8000"),
            ("localhost:8000", "127.0.0.1:8000"),
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("HTTP://localhost:8000/", "127.0.0.1:8000"),
        ] {
            assert_eq!(listen(text).map(|address| address.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for text in ["8000", ":8000", "localhost", "example.org:80", "https://localhost:1", "1.2.3.4:70000"] {
            assert!(listen(text).is_err_and(|reason| reason.contains("HOST:PORT")), "{text}");
        }
    }

    /// The request goes to the path as it was written, and never to an address that nobody meant.
    #[test]
    fn only_a_host_and_a_port_can_be_asked() {
        for (text, expected) in [
            ("127.0.0.1:8001", "127.0.0.1:8001"),
            ("http://127.0.0.1:8001", "127.0.0.1:8001"),
            ("http://[::1]:8001/", "[::1]:8001"),
            ("localhost:8001", "localhost:8001"),
            ("daca-0.daca.svc.cluster.local.:8001", "daca-0.daca.svc.cluster.local.:8001"),
        ] {
            assert_eq!(peer(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "8001",
            ":8001",
            "8001:80",
            "0x7f.1:80",
            "a.0x7f:80",
            "127.1:80",
            "localhost:0",
            "localhost:+80",
            "localhost:",
            "user@evil:80",
            "evil/localhost:80",
            "evil?localhost:80",
            "evil#localhost:80",
            "http://localhost:80/path",
            "https://localhost:80",
            "::1:80",
            "",
        ] {
            assert!(peer(text).is_err_and(|reason| reason.contains("HOST:PORT")), "{text}");
        }
    }
}

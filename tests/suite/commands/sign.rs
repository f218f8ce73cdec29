//! `daca sign`: keys, and the signatures that are made with them.

use std::os::unix::fs::PermissionsExt as _;

use daca_tests::{Ended, chat_agent, run_in};
use tempfile::TempDir;

use super::{OPENSSL_KEY, assert_refused};

#[tokio::test]
async fn a_component_is_signed_with_a_new_key() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::copy(chat_agent(), path("agent.wasm"))?;
    let sign = async |arguments: &[&str]| run_in(folder.path(), [&["sign"][..], arguments].concat()).await;

    let Ended { code, stdout, stderr } = sign(&["--new-key", "key.pem"]).await?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("signers = [\"ed25519:"), "{stdout}");
    assert_eq!(std::fs::metadata(path("key.pem"))?.permissions().mode() & 0o777, 0o600);
    assert_eq!(sign(&["--key", "key.pem", "--public"]).await?.stdout, stdout);
    // The line is one that a manifest takes.
    let manifest = format!("{}\n[deploy]\n{stdout}", daca_tests::manifest_of("Plain", "plain", ""));
    std::fs::write(path("agents.toml"), manifest)?;
    let unsigned = run_in(folder.path(), ["check"]).await?;
    assert_refused("nobody has signed it", &unsigned, "component-unsigned", &[]);

    let Ended { code, stderr, .. } = sign(&["--key", "key.pem", "agent.wasm"]).await?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let signature = std::fs::read(path("agent.wasm.sig"))?;
    sign(&["agent.wasm", "--key", "key.pem", "--out", "other.sig"]).await?;
    assert_eq!(std::fs::read(path("other.sig"))?, signature);

    // OpenSSL reads a key of this form: the public key is not in it.
    let pem = std::fs::read_to_string(path("key.pem"))?;
    let head = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI";
    assert!(pem.starts_with(head) && pem.len() == OPENSSL_KEY.len(), "another form than OpenSSL's");
    Ok(())
}

#[tokio::test]
async fn a_key_of_openssl_signs_as_openssl_does() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("key.pem"), OPENSSL_KEY)?;
    std::fs::set_permissions(path("key.pem"), std::fs::Permissions::from_mode(0o600))?;
    std::fs::write(path("a.wasm"), b"\0asm\x0d\0\x01\0")?;
    let Ended { stdout, .. } = run_in(folder.path(), ["sign", "--key", "key.pem", "--public"]).await?;
    assert_eq!(stdout, "signers = [\"ed25519:ndGbkE82Fexc7JtX+s4PEIqWpOqgc8n+XfSPYaDiB3E=\"]\n");
    let Ended { code, stderr, .. } = run_in(folder.path(), ["sign", "--key", "key.pem", "a.wasm"]).await?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    // What `openssl pkeyutl -sign -rawin` made of the same bytes.
    let signature =
        "/1ZJcf+ovXHBYAXumeIYT1Z4Mt6DONoz5tlGGqvID5BvVKq1EzIx6TJIfc5yl2VNqMVm9UIDBdFU6qiJm4+eBw==\n";
    assert_eq!(std::fs::read_to_string(path("a.wasm.sig"))?, signature);
    Ok(())
}

/// By a slip of the hand the key would be gone, or, for root, a device.
#[tokio::test]
async fn a_signature_replaces_nothing_but_a_signature() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("key.pem"), OPENSSL_KEY)?;
    std::fs::set_permissions(path("key.pem"), std::fs::Permissions::from_mode(0o600))?;
    std::fs::write(path("a.wasm"), b"\0asm\x0d\0\x01\0")?;
    std::fs::write(path("notes"), "of somebody")?;
    std::os::unix::fs::symlink(path("notes"), path("link"))?;
    let _socket = std::os::unix::net::UnixListener::bind(path("socket"))?;
    let before = |name: &str| std::fs::read(path(name));
    let (key, component) = (before("key.pem")?, before("a.wasm")?);
    for out in ["key.pem", "a.wasm", "notes", "link", "socket", "."] {
        let ended = run_in(folder.path(), ["sign", "--key", "key.pem", "a.wasm", "--out", out]).await?;
        assert_refused(out, &ended, "signing-unwritable", &[out]);
    }
    assert_eq!(
        (before("key.pem")?, before("a.wasm")?, before("notes")?),
        (key, component, b"of somebody".into())
    );
    assert!(path("link").symlink_metadata()?.is_symlink());
    // A second signature replaces the first.
    for _ in 0..2 {
        let ended = run_in(folder.path(), ["sign", "--key", "key.pem", "a.wasm"]).await?;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    }
    Ok(())
}

#[tokio::test]
async fn sign_says_why_it_does_not_sign() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::copy(chat_agent(), path("agent.wasm"))?;
    std::fs::write(path("text.wasm"), "no component")?;
    let sign = async |arguments: &[&str]| run_in(folder.path(), [&["sign"][..], arguments].concat()).await;
    for key in ["key.pem", "exposed.pem", "altered.pem"] {
        sign(&["--new-key", key]).await?;
    }
    let key = std::fs::read(path("key.pem"))?;
    std::fs::set_permissions(path("exposed.pem"), std::fs::Permissions::from_mode(0o640))?;
    std::fs::OpenOptions::new().write(true).truncate(true).open(path("altered.pem"))?;

    for (what, arguments, code, words) in [
        ("a key that is there", &["--new-key", "key.pem"][..], "signing-unwritable", &["key.pem: "][..]),
        ("no key", &["--key", "none.pem", "agent.wasm"], "signing-key-unreadable", &["none.pem: "]),
        (
            "a key that others read",
            &["--key", "exposed.pem", "agent.wasm"],
            "signing-key-exposed",
            &["chmod 600"],
        ),
        (
            "a file that is no key",
            &["--key", "altered.pem", "--public"],
            "signing-key-invalid",
            &["altered.pem "],
        ),
        ("no component", &["--key", "key.pem", "none.wasm"], "component-missing", &["none.wasm: "]),
        ("something else", &["--key", "key.pem", "text.wasm"], "component-invalid", &["text.wasm: "]),
        (
            "no place",
            &["--key", "key.pem", "agent.wasm", "--out", "no/sig"],
            "signing-unwritable",
            &["no/sig: "],
        ),
    ] {
        let ended = sign(arguments).await?;
        assert_refused(what, &ended, code, words);
        assert_eq!(ended.stderr.matches("\n  help: ").count(), 1, "{what}: {}", ended.stderr);
    }
    assert_eq!(std::fs::read(path("key.pem"))?, key);
    let mut left = std::fs::read_dir(folder.path())?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    left.sort();
    assert_eq!(left, ["agent.wasm", "altered.pem", "exposed.pem", "key.pem", "text.wasm"]);
    Ok(())
}

//! `daca sign`: creates signing keys, and signs components with them.
//!
//! Keys are PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` creates them. As with SSH, a key file that others
//! can read is refused: a reader of the key can sign anything.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes};
use ed25519_dalek::{SECRET_KEY_LENGTH, SigningKey};

use daca_base::files::{BY_UMASK, open_regular, write_whole};
use daca_base::text::utf8;
use daca_base::{ErrorCode, Explained, Explanation};
use daca_deploy::watch::{ComponentFile, signature_path};
use daca_manifest::signature::{self, Signer};
use daca_model::MAX_SIGNATURE;
use daca_runtime::component::{LoadError, check_header};

/// The maximum size of a key file in bytes. A real one has about 120.
const MAX_KEY_FILE: u64 = 16 * 1024;

/// The arguments of `daca sign`.
#[derive(Debug, clap::Args)]
#[command(override_usage = "daca sign --key <FILE> <COMPONENT> [--out <FILE>]
       daca sign --key <FILE> --public
       daca sign --new-key <FILE>")]
pub struct SignArguments {
    /// The component to sign
    #[arg(required_unless_present_any = ["public", "new_key"])]
    component: Option<PathBuf>,
    /// The private key: Ed25519, PKCS#8, PEM
    #[arg(long, value_name = "FILE", required_unless_present = "new_key")]
    key: Option<PathBuf>,
    /// Where to write the signature [default: COMPONENT.sig]
    #[arg(long, value_name = "FILE", requires = "component")]
    out: Option<PathBuf>,
    /// Print the key's line for `signers` in the manifest
    #[arg(long, conflicts_with_all = ["component", "out"])]
    public: bool,
    /// Create a key, and print its line for `signers` in the manifest
    #[arg(long, value_name = "FILE", conflicts_with_all = ["component", "key", "out", "public"])]
    new_key: Option<PathBuf>,
}

impl SignArguments {
    /// The file of the new key.
    pub fn new_key(&self) -> Option<&Path> {
        self.new_key.as_deref()
    }
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The component.
    #[error(transparent)]
    Component(#[from] LoadError),
    /// The key file cannot be read.
    #[error("{path}: {reason}")]
    KeyUnreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// The key file is accessible to others than its owner.
    #[error("{path} is readable by users other than its owner")]
    KeyExposed {
        /// The file.
        path: PathBuf,
    },
    /// The file does not contain such a key.
    #[error("{path} does not contain a private Ed25519 key in PKCS#8 and PEM")]
    KeyInvalid {
        /// The file.
        path: PathBuf,
    },
    /// A new key, or a signature, cannot be written.
    #[error("{path}: {reason}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: std::io::Error,
        /// What to do.
        help: &'static str,
    },
    /// The operating system gives no randomness.
    #[error("{0}")]
    NoRandomness(getrandom::Error),
}

impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        let (code, help) = match self {
            Error::Component(error) => return error.explanation(),
            Error::KeyExposed { path } => {
                let path = path.display();
                let help = format!("if nobody has read it, run: chmod 600 {path}; otherwise make a new key");
                return Some(Explanation::new(ErrorCode::SigningKeyExposed, help));
            }
            Error::KeyUnreadable { .. } => (
                ErrorCode::SigningKeyUnreadable,
                "name a key with --key FILE, or make one with: daca sign --new-key FILE",
            ),
            Error::KeyInvalid { .. } => (
                ErrorCode::SigningKeyInvalid,
                "make one with: daca sign --new-key FILE, or: openssl genpkey -algorithm ed25519 -out FILE",
            ),
            Error::Unwritable { help, .. } => (ErrorCode::SigningUnwritable, *help),
            Error::NoRandomness(_) => (ErrorCode::SigningNoRandomness, "make the key on another machine"),
        };
        Some(Explanation::new(code, help))
    }
}

/// Runs the command. The result is for standard output.
pub fn run(arguments: &SignArguments) -> Result<String, Error> {
    let SignArguments { component, key, out, new_key, .. } = arguments;
    if let Some(path) = new_key {
        return Ok(public_line(&make_key(path)?));
    }
    let key = read_key(key.as_deref().unwrap_or(Path::new("")))?;
    let Some(component) = component else {
        return Ok(public_line(&key));
    };
    let out = out.clone().unwrap_or_else(|| signature_path(component));
    let wasm = read_component(component)?;
    let unwritable = |reason, help| Error::Unwritable { path: out.clone(), reason, help };
    refuse_other_files(&out).map_err(|reason| {
        unwritable(reason, "name another file with --out FILE, or remove this one first")
    })?;
    write_whole(&out, &[signature::sign(&key, &wasm).as_bytes()], BY_UMASK)
        .map_err(|reason| unwritable(reason, "name another file with --out FILE"))?;
    Ok(format!("signed: {}\n", out.display()))
}

fn public_line(key: &SigningKey) -> String {
    format!("signers = [\"{}\"]\n", Signer::of(key))
}

/// Without the public key, which OpenSSL does not accept in this format.
fn make_key(path: &Path) -> Result<SigningKey, Error> {
    let mut secret_key = [0; SECRET_KEY_LENGTH];
    getrandom::fill(&mut secret_key).map_err(Error::NoRandomness)?;
    let key = SigningKey::from_bytes(&secret_key);
    let pem = KeypairBytes { secret_key, public_key: None }
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|_| Error::KeyInvalid { path: path.to_owned() })?;
    let unwritable = |reason| Error::Unwritable {
        path: path.to_owned(),
        reason,
        help: "name a file that does not exist yet: a key is never overwritten",
    };
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(unwritable)?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(|reason| {
        // A partial key would block the next attempt. The original error is reported.
        let _ = std::fs::remove_file(path);
        unwritable(reason)
    })?;
    Ok(key)
}

/// Only components and scripts are signed, so that no signature can be passed off as one of something else.
fn read_component(path: &Path) -> Result<Bytes, LoadError> {
    let refused = |(code, message, help): (ErrorCode, String, &str)| LoadError {
        code,
        name: path.display().to_string(),
        message,
        help: help.to_owned(),
    };
    let wasm = ComponentFile::read(path).map_err(|error| {
        refused((
            ErrorCode::ComponentMissing,
            error.to_string(),
            "name the .wasm file that the build produced, or a script",
        ))
    })?;
    if !daca_script::is_script(&wasm.wasm) {
        check_header(&wasm.wasm).map_err(refused)?;
    }
    Ok(wasm.wasm)
}

fn read_key(path: &Path) -> Result<SigningKey, Error> {
    let unreadable = |reason| Error::KeyUnreadable { path: path.to_owned(), reason };
    let file = open_regular(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.mode() & 0o077 != 0 {
        return Err(Error::KeyExposed { path: path.to_owned() });
    }
    let mut pem = Vec::new();
    file.take(MAX_KEY_FILE).read_to_end(&mut pem).map_err(unreadable)?;
    let pem = utf8(pem).map_err(unreadable)?;
    SigningKey::from_pkcs8_pem(pem.trim_start()).map_err(|_| Error::KeyInvalid { path: path.to_owned() })
}

/// A signature replaces another signature, and nothing else: neither the key nor the component, and no device, pipe or
/// link, in whose place the new file would be.
fn refuse_other_files(target: &Path) -> std::io::Result<()> {
    match target.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if found.is_file() && holds_signature(target)? => Ok(()),
        Ok(_) => {
            Err(std::io::Error::new(ErrorKind::AlreadyExists, "there is something that is not a signature"))
        }
    }
}

fn holds_signature(path: &Path) -> std::io::Result<bool> {
    let mut text = Vec::new();
    open_regular(path)?.take(MAX_SIGNATURE).read_to_end(&mut text)?;
    Ok(signature::is_signature(&signature::text_of(&text)))
}

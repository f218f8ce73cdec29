//! Signatures of components: they determine who may decide what an agent type runs.
//!
//! A signature is Ed25519 over the bytes of the `.wasm` file and nothing else, so that other tools can create and
//! verify it (`openssl pkeyutl -verify -rawin`). It needs no prefix for its purpose: the bytes begin with the magic of
//! a component, and `daca sign` signs nothing else. It is valid for the component alone, not for an agent type: whoever
//! may deploy chooses the type that runs it. In a file (`FILE.sig`) it is text: base64 and a line end.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{PUBLIC_KEY_LENGTH, SIGNATURE_LENGTH, Signature, Signer as _, SigningKey, VerifyingKey};

use daca_base::ErrorCode;

/// The prefix of a public key in the manifest.
const ALGORITHM: &str = "ed25519:";

/// A signer whose components may run: a public key.
#[derive(Clone, PartialEq, Eq)]
pub struct Signer(VerifyingKey);

/// Why a text is not a public key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignerError {
    /// The format is wrong.
    #[error("it is not {ALGORITHM} and the base64 of {PUBLIC_KEY_LENGTH} bytes")]
    Form,
    /// The bytes are not a key: at least one of them was altered.
    #[error("its bytes are not an Ed25519 key")]
    NoKey,
    /// Anyone can create signatures that such a key verifies.
    #[error("it is a weak key, with which anyone can sign")]
    Weak,
}

/// Why a component may not run here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignatureError {
    /// It has no signature.
    #[error("the component has no signature, and the manifest names who must sign")]
    Unsigned,
    /// Its signature is malformed.
    #[error("the signature is not the base64 of {SIGNATURE_LENGTH} bytes")]
    Invalid,
    /// Its file is in another encoding, such as UTF-16, or binary.
    #[error("the signature is not text in UTF-8")]
    NotText,
    /// No signer has signed these bytes.
    #[error(
        "none of the manifest's signers made this signature, or the component was altered after it was signed"
    )]
    Foreign,
}

impl SignatureError {
    /// The stable code, explained in `docs/errors/`.
    pub fn code(&self) -> ErrorCode {
        match self {
            SignatureError::Unsigned => ErrorCode::ComponentUnsigned,
            SignatureError::Invalid | SignatureError::NotText => ErrorCode::SignatureInvalid,
            SignatureError::Foreign => ErrorCode::SignatureForeign,
        }
    }

    /// What to do.
    pub fn help(&self) -> &'static str {
        match self {
            SignatureError::Unsigned => "sign the file of the component or script: daca sign --key KEY FILE",
            SignatureError::Invalid => {
                "use the .sig file that daca sign wrote beside the component or script, unchanged"
            }
            SignatureError::NotText => {
                "save the .sig file as UTF-8, or use the one that daca sign wrote, unchanged"
            }
            SignatureError::Foreign => {
                "sign exactly this file with the key of a signer, or add the key's line (daca sign --key FILE --public) to signers in [deploy]"
            }
        }
    }
}

impl Signer {
    /// Parses a public key in the manifest's format, `ed25519:BASE64`.
    pub fn parse(text: &str) -> Result<Signer, SignerError> {
        let base64 = text.strip_prefix(ALGORITHM).ok_or(SignerError::Form)?;
        let bytes = STANDARD.decode(base64).map_err(|_| SignerError::Form)?;
        let bytes = <[u8; PUBLIC_KEY_LENGTH]>::try_from(bytes).map_err(|_| SignerError::Form)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| SignerError::NoKey)?;
        if key.is_weak() { Err(SignerError::Weak) } else { Ok(Signer(key)) }
    }

    /// The public part of a key.
    pub fn of(key: &SigningKey) -> Signer {
        Signer(key.verifying_key())
    }
}

/// In the manifest's format.
impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}{}", STANDARD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({self})")
    }
}

/// The text of the signature of a component, with its line end.
pub fn sign(key: &SigningKey, wasm: &[u8]) -> String {
    STANDARD.encode(key.sign(wasm).to_bytes()) + "\n"
}

/// The text of a signature's file, without the byte order mark that editors write. [`verify`] refuses that of one that is not
/// text in UTF-8, unless there are no signers: nobody may have asked for the file.
pub fn text_of(file: &[u8]) -> String {
    let text = String::from_utf8_lossy(file);
    text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned()
}

/// Checks that a component is signed by one of the signers. Without signers, every component passes. `signature` is the
/// text of its signature file.
pub fn verify(signers: &[Signer], wasm: &[u8], signature: Option<&str>) -> Result<(), SignatureError> {
    if signers.is_empty() {
        return Ok(());
    }
    let signature = parse(signature.ok_or(SignatureError::Unsigned)?)?;
    let is_signed = signers.iter().any(|signer| signer.0.verify_strict(wasm, &signature).is_ok());
    if is_signed { Ok(()) } else { Err(SignatureError::Foreign) }
}

/// Returns `true` if a text has the form of a signature. `daca sign` replaces no other files.
pub fn is_signature(text: &str) -> bool {
    parse(text).is_ok()
}

fn parse(text: &str) -> Result<Signature, SignatureError> {
    if text.contains(['\0', char::REPLACEMENT_CHARACTER]) {
        return Err(SignatureError::NotText);
    }
    let base64 = text.strip_suffix('\n').unwrap_or(text);
    let bytes = STANDARD.decode(base64).map_err(|_| SignatureError::Invalid)?;
    Signature::from_slice(&bytes).map_err(|_| SignatureError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    #[test]
    fn a_component_runs_when_one_of_the_signers_has_signed_these_very_bytes() {
        let signers = [Signer::of(&key(1)), Signer::of(&key(2))];
        let signed = sign(&key(2), b"component");
        assert_eq!(verify(&signers, b"component", Some(&signed)), Ok(()));
        assert_eq!(verify(&signers, b"component", Some(signed.trim_end())), Ok(()));

        assert_eq!(verify(&signers, b"componenT", Some(&signed)), Err(SignatureError::Foreign));
        assert_eq!(verify(&signers[..1], b"component", Some(&signed)), Err(SignatureError::Foreign));
        assert_eq!(verify(&signers, b"component", None), Err(SignatureError::Unsigned));
    }

    #[test]
    fn what_is_no_signature_is_refused_as_such() {
        let signers = [Signer::of(&key(1))];
        let signed = sign(&key(1), b"component");
        let long = format!("{signed}{signed}");
        for text in [
            "",
            "\n",
            "no base64!",
            "AAAA",
            &signed[1..],
            &long,
            &format!(" {signed}"),
            &format!("{signed}\n"),
        ] {
            assert_eq!(verify(&signers, b"component", Some(text)), Err(SignatureError::Invalid), "{text:?}");
        }
    }

    #[test]
    fn a_file_may_begin_with_a_mark_and_another_encoding_is_named() {
        let signers = [Signer::of(&key(1))];
        let signed = sign(&key(1), b"component");
        let verified = |file: &[u8]| verify(&signers, b"component", Some(&text_of(file)));
        assert_eq!(verified(format!("\u{feff}{signed}").as_bytes()), Ok(()));
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        for file in [utf16(&signed), utf16(&format!("\u{feff}{signed}")), vec![0xff; SIGNATURE_LENGTH]] {
            assert_eq!(verified(&file), Err(SignatureError::NotText), "{file:?}");
            assert_eq!(verify(&[], b"component", Some(&text_of(&file))), Ok(()), "nobody asks for it");
        }
    }

    #[test]
    fn without_signers_nobody_is_asked() {
        assert_eq!(verify(&[], b"component", None), Ok(()));
        assert_eq!(verify(&[], b"component", Some("no base64!")), Ok(()));
    }

    #[test]
    fn a_public_key_is_read_as_it_is_written_and_a_weak_one_refused() {
        let signer = Signer::of(&key(1));
        assert_eq!(Signer::parse(&signer.to_string()), Ok(signer.clone()));

        let key = |bytes: [u8; 32]| format!("ed25519:{}", STANDARD.encode(bytes));
        let base64 = signer.to_string().replace("ed25519:", "");
        for text in ["", "ed25519:", "ed25519:AAAA", &base64, &format!("rsa:{base64}"), &format!("{signer}=")]
        {
            assert_eq!(Signer::parse(text), Err(SignerError::Form), "{text:?}");
        }
        // The neutral point, with which a signature of zeros verifies for every message.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(Signer::parse(&key(neutral)), Err(SignerError::Weak));
        let mut no_point = [0; 32];
        no_point[0] = 2;
        assert_eq!(Signer::parse(&key(no_point)), Err(SignerError::NoKey));
    }
}

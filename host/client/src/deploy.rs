//! `daca deploy`: uploads a component, or names a version that the host has, and deploys it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use http::{HeaderValue, header};
use reqwest::{Method, RequestBuilder};

use super::admin::{self, Admin, Error};
use super::{Form, outcome};
use daca_base::files::read_bounded;
use daca_model::admin::{SIGNATURE_HEADER, VersionRequest};
use daca_model::{FileName, MAX_COMPONENT, MAX_SIGNATURE};

/// The share of a version that serves all actors, in percent.
const ALL: u8 = 100;

/// The arguments of a deployment.
pub struct Deployment<'a> {
    /// The agent type.
    pub agent_type: &'a str,
    /// A `.wasm` file, or 8 to 64 digits of a version.
    pub what: &'a str,
    /// Percent of the actors that it serves; 100 by default.
    pub share: Option<u8>,
    /// The label of the version.
    pub label: Option<&'a str>,
    /// The signature's file; by default the component's file name with `.sig` appended, if that file exists.
    pub signature: Option<&'a Path>,
}

/// Deploys, and returns the outcome.
pub async fn deploy(admin: &Admin, deployment: &Deployment<'_>, form: Form) -> Result<String, Error> {
    // One byte more than a component may have, to notice that it is too large.
    let request = match read_bounded(Path::new(deployment.what), MAX_COMPONENT + 1) {
        // The host would stop reading, which looks as if it had gone.
        Ok(wasm) if wasm.len() as u64 > MAX_COMPONENT => {
            return Err(Error::TooLarge { what: deployment.what.to_owned(), bytes: wasm.len() });
        }
        Ok(wasm) => upload(admin, deployment, wasm)?,
        Err(error) if error.kind() == ErrorKind::NotFound && is_version(deployment.what) => {
            name(admin, deployment)?
        }
        Err(reason) => return Err(Error::Component { what: deployment.what.to_owned(), reason }),
    };
    outcome::render(admin.send(request).await?, None, form)
}

fn upload(admin: &Admin, deployment: &Deployment<'_>, wasm: Vec<u8>) -> Result<RequestBuilder, Error> {
    let share = deployment.share.map(|share| share.to_string());
    let file = script_name(Path::new(deployment.what));
    let file = file.as_ref().map(FileName::as_str);
    let query = [("share", share.as_deref()), ("label", deployment.label), ("file", file)];
    let path = admin::path(&["agents", admin::agent_type(deployment.agent_type)?, "component"], &query);
    let request =
        admin.request(Method::PUT, &path).header(header::CONTENT_TYPE, "application/wasm").body(wasm);
    Ok(match signature(deployment)? {
        Some(signature) => request.header(SIGNATURE_HEADER, signature),
        None => request,
    })
}

/// The name of a script's file, for its stacks. A component has none, and a host of the release before refuses the parameter.
fn script_name(path: &Path) -> Option<FileName> {
    FileName::of_path(path).filter(|_| path.extension().is_none_or(|extension| extension != "wasm"))
}

fn name(admin: &Admin, deployment: &Deployment<'_>) -> Result<RequestBuilder, Error> {
    let body = VersionRequest {
        version: deployment.what.to_owned(),
        share: deployment.share.unwrap_or(ALL),
        label: deployment.label.map(str::to_owned),
    };
    let path = admin::path(&["agents", admin::agent_type(deployment.agent_type)?, "version"], &[]);
    Ok(admin.request(Method::POST, &path).json(&body))
}

/// Returns `true` if the text could be a version's digest, or a prefix of one.
pub(super) fn is_version(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn signature(deployment: &Deployment<'_>) -> Result<Option<HeaderValue>, Error> {
    let beside = PathBuf::from(format!("{}.sig", deployment.what));
    let path = deployment.signature.unwrap_or(&beside);
    let failed = |reason: String| Error::Signature { path: path.to_owned(), reason };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && deployment.signature.is_none() => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error.to_string())),
        Ok(file) if file.len() > MAX_SIGNATURE => {
            return Err(failed("it is too large for a signature".into()));
        }
        Ok(_) => {}
    }
    let text = daca_base::text::read(path).map_err(|error| failed(error.to_string()))?;
    let value = HeaderValue::from_str(text.trim()).map_err(|_| failed("it has more than one line".into()))?;
    Ok(Some(value))
}

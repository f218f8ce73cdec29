//! The parameters behind the `?` of the admin API, all of which are checked here, by the API's own description.
//!
//! What reads them afterwards ignores what it does not know, and replaces bytes that are no text: with a mistyped
//! parameter a request would do something else than its client means. A parameter that is not described is refused, so
//! the description is complete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::answer::HttpError;
use super::openapi::{self, Parameter, ParameterKind, ParameterSchema};
use super::upload::discard;
use daca_base::{ErrorCode, json};
use daca_model::CallError;

/// The bytes of a name or value that an answer repeats.
const MAX_SHOWN: usize = 64;
/// The share of a version has a code of its own, `share-invalid`, wherever it is given.
const SHARE: &str = "share";

/// The parameters of each request, by method and path.
static DESCRIBED: LazyLock<Result<BTreeMap<String, Vec<Parameter>>, json::Error>> =
    LazyLock::new(openapi::queries);

/// Refuses a request whose parameters are not as described.
pub(super) async fn check(request: Request, next: Next) -> Response {
    match check_request(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            // It may be a component, and its client reads the answer once it has sent all of it.
            discard(request.into_body()).await;
            error.into_response()
        }
    }
}

fn check_request(request: &Request) -> Result<(), HttpError> {
    let (Some(query), Some(path)) = (request.uri().query(), request.extensions().get::<MatchedPath>()) else {
        return Ok(());
    };
    // It is part of this program, and a test parses it.
    let described = (*DESCRIBED).as_ref().map_err(|_| HttpError::from(CallError::Internal))?;
    // HEAD is answered like GET.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    match described.get(&format!("{method} {}", path.as_str())) {
        Some(parameters) => check_query(query, parameters),
        // The path is there, but not for this method.
        None => Ok(()),
    }
}

fn check_query(query: &str, parameters: &[Parameter]) -> Result<(), HttpError> {
    let mut seen = BTreeSet::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (raw_name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(raw_name).ok_or_else(|| invalid(raw_name, "its name is not text in UTF-8"))?;
        let known = parameters.iter().find(|parameter| parameter.name == name);
        let parameter = known.ok_or_else(|| invalid(&name, &unknown(parameters)))?;
        if !seen.insert(&*parameter.name) {
            return Err(invalid(&name, "it is there twice"));
        }
        let value = decoded(value).ok_or_else(|| invalid(&name, "its value is not text in UTF-8"))?;
        check_value(parameter, &value).map_err(|reason| invalid(&name, &reason))?;
    }
    Ok(())
}

fn unknown(parameters: &[Parameter]) -> String {
    let names = parameters.iter().map(|parameter| &*parameter.name).collect::<Vec<_>>();
    if names.is_empty() {
        return "this request has no parameters".to_owned();
    }
    format!("the parameters of this request are: {}", names.join(", "))
}

fn check_value(parameter: &Parameter, value: &str) -> Result<(), String> {
    let ParameterSchema { kind, minimum, maximum } = &parameter.schema;
    match kind {
        ParameterKind::String => Ok(()),
        ParameterKind::Boolean if matches!(value, "true" | "false") => Ok(()),
        ParameterKind::Boolean => Err(format!("{} is neither true nor false", shown(value))),
        ParameterKind::Integer => {
            let are_digits = value.bytes().all(|byte| byte.is_ascii_digit());
            let number = value.parse::<u64>().ok().filter(|_| are_digits);
            let number = number.ok_or_else(|| format!("{} is not a whole number", shown(value)))?;
            let (minimum, maximum) = (*minimum, maximum.unwrap_or(u64::MAX));
            if (minimum..=maximum).contains(&number) || parameter.name == SHARE {
                return Ok(());
            }
            Err(format!("{number} is not from {minimum} to {maximum}"))
        }
    }
}

/// The error for a parameter.
pub(super) fn invalid(name: &str, reason: &str) -> HttpError {
    HttpError::new(ErrorCode::QueryInvalid, format!("The parameter {}: {reason}.", shown(name)))
}

fn shown(text: &str) -> String {
    format!("{:?}", &text[..text.floor_char_boundary(MAX_SHOWN)])
}

/// The text that is encoded as in a form; `None` if it is not UTF-8, or a `%` is no escape.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, more) = rest.split_at_checked(2)?;
                let mut byte = [0];
                hex::decode_to_slice(digits, &mut byte).ok()?;
                bytes.extend(byte);
                rest = more;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_as_it_is_described_or_refused_with_the_parameter() {
        let described = openapi::queries().expect("the document is read");
        let check = |request: &str, query: &str| {
            check_query(query, &described[request]).map_err(|error| error.detail).err()
        };
        let (actors, effects) = ("GET /effects", "GET /effects/{agent_type}/{actor_id}");
        for (request, query) in [
            (actors, ""),
            (actors, "&limit=1000&&after=A/%C3%BC+"),
            (actors, "%6Cimit=1"),
            (effects, "from=0&payload=false"),
            ("GET /logs", "limit=0&follow=true&type=A&id=b"),
            ("PUT /agents/{agent_type}/component", "share=0"),
        ] {
            assert_eq!(check(request, query), None, "{request} {query}");
        }
        for (request, query, name, words) in [
            (actors, "limit=0", "limit", "from 1 to 1000"),
            (actors, "limit=1001", "limit", "from 1 to 1000"),
            (actors, "limit=-1", "limit", "not a whole number"),
            (actors, "limit=%2B1", "limit", "not a whole number"),
            (actors, "limit", "limit", "not a whole number"),
            (actors, "limit=18446744073709551616", "limit", "not a whole number"),
            (actors, "limit=1&limit=1", "limit", "twice"),
            (actors, "after=X/%ff", "after", "UTF-8"),
            (actors, "after=X/%f", "after", "UTF-8"),
            (actors, "after=X/%+1", "after", "UTF-8"),
            (actors, "Limit=1", "Limit", "after, limit"),
            (effects, "payload=1", "payload", "neither true nor false"),
            ("GET /health", "verbose=true", "verbose", "no parameters"),
            ("GET /health", "%ff=1", "%ff", "UTF-8"),
        ] {
            let detail = check(request, query).unwrap_or_default();
            assert!(detail.contains(&format!("{name:?}")) && detail.contains(words), "{query}: {detail}");
        }
        let long = check(actors, &"é".repeat(1_000)).unwrap_or_default();
        assert!(long.len() < 300, "{long}");
    }
}

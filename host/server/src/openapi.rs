//! The description of the admin API, which the port serves, and from which it generates its list of requests.

use std::collections::BTreeMap;

use daca_base::json;
use serde::Deserialize;

/// OpenAPI 3.1.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

#[derive(Deserialize)]
struct ApiDescription {
    paths: BTreeMap<String, BTreeMap<String, ApiOperation>>,
}

#[derive(Deserialize)]
struct ApiOperation {
    summary: String,
}

/// The purpose of each request, by method and path.
pub(super) fn requests() -> Result<BTreeMap<String, String>, json::Error> {
    let ApiDescription { paths } = json::read(DOCUMENT.as_bytes())?;
    let requests = paths.into_iter().flat_map(|(path, operations)| {
        operations
            .into_iter()
            .map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation.summary))
    });
    Ok(requests.collect())
}

#[cfg(test)]
mod tests;

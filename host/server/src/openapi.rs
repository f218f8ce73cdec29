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
    #[serde(default)]
    parameters: Vec<Parameter>,
}

/// A parameter of a request.
#[derive(Deserialize)]
pub(super) struct Parameter {
    pub(super) name: String,
    #[serde(rename = "in")]
    location: ParameterLocation,
    pub(super) schema: ParameterSchema,
}

/// Where a parameter is.
#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum ParameterLocation {
    Path,
    Query,
    Header,
}

/// The values of a parameter; the bounds are those of an integer.
#[derive(Deserialize)]
pub(super) struct ParameterSchema {
    #[serde(rename = "type")]
    pub(super) kind: ParameterKind,
    #[serde(default)]
    pub(super) minimum: u64,
    #[serde(default)]
    pub(super) maximum: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ParameterKind {
    Integer,
    Boolean,
    String,
}

/// The purpose of each request, by method and path.
pub(super) fn requests() -> Result<BTreeMap<String, String>, json::Error> {
    Ok(operations()?.map(|(request, operation)| (request, operation.summary)).collect())
}

/// The parameters that each request may have behind the `?`, by method and path.
pub(super) fn queries() -> Result<BTreeMap<String, Vec<Parameter>>, json::Error> {
    let queries = operations()?.map(|(request, operation)| {
        let parameters = operation.parameters.into_iter();
        (request, parameters.filter(|parameter| parameter.location == ParameterLocation::Query).collect())
    });
    Ok(queries.collect())
}

fn operations() -> Result<impl Iterator<Item = (String, ApiOperation)>, json::Error> {
    let ApiDescription { paths } = json::read(DOCUMENT.as_bytes())?;
    Ok(paths.into_iter().flat_map(|(path, operations)| {
        operations
            .into_iter()
            .map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    }))
}

#[cfg(test)]
mod tests;

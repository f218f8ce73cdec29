//! `daca invoke`: calls a method of an actor.

use reqwest::Method;

use super::admin::{self, Admin, Error};
use daca_base::json::Document;

/// Calls a method of an actor (`TYPE/ID`) with a JSON payload, and returns the reply's JSON. Without a payload it sends no
/// bytes, as a route with `payload = "none"` does.
pub async fn invoke(
    admin: &Admin,
    actor: &str,
    method: &str,
    payload: Option<&str>,
) -> Result<String, Error> {
    let actor = admin::actor(actor)?;
    let payload = payload.map(str::to_owned);
    if let Some(payload) = &payload {
        Document::parse(&payload.clone().into()).map_err(Error::Payload)?;
    }
    let path = admin::path(&["actors", &actor.agent_type, &actor.id, "method", method], &[]);
    admin.send(admin.request(Method::POST, &path).body(payload.unwrap_or_default())).await
}

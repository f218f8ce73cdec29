//! `daca invoke`: calls a method of an actor.

use reqwest::Method;

use super::admin::{self, Admin, Error};
use daca_base::json::Document;

/// Calls a method of an actor (`TYPE/ID`) with a JSON payload, and returns the reply's JSON.
pub async fn invoke(admin: &Admin, actor: &str, method: &str, payload: &str) -> Result<String, Error> {
    let actor = admin::actor(actor)?;
    Document::parse(&payload.to_owned().into()).map_err(Error::Payload)?;
    let path = admin::path(&["actors", &actor.agent_type, &actor.id, "method", method], &[]);
    admin.send(admin.request(Method::POST, &path).body(payload.to_owned())).await
}

//! `daca pin` and `daca unpin`: pins an actor to a version, whichever version serves the others.

use reqwest::Method;

use super::admin::{self, Admin, Error};
use super::deploy::is_version;
use super::{Form, outcome};
use daca_model::ActorAddress;
use daca_model::admin::PinRequest;

/// Pins an actor (`TYPE/ID`) to a version, named by 8 to 64 digits.
pub async fn pin(admin: &Admin, actor: &str, version: &str, form: Form) -> Result<String, Error> {
    let actor = admin::actor(actor)?;
    if !is_version(version) {
        return Err(Error::Version(version.to_owned()));
    }
    let request = admin.request(Method::PUT, &path(&actor)).json(&PinRequest { version: version.to_owned() });
    outcome::render(admin.send(request).await?, Some(&actor.id), form)
}

/// Unpins an actor (`TYPE/ID`), so that it follows its agent type again.
pub async fn unpin(admin: &Admin, actor: &str, form: Form) -> Result<String, Error> {
    let actor = admin::actor(actor)?;
    let request = admin.request(Method::DELETE, &path(&actor));
    outcome::render(admin.send(request).await?, Some(&actor.id), form)
}

fn path(actor: &ActorAddress) -> String {
    admin::path(&["agents", &actor.agent_type, "pins", &actor.id], &[])
}

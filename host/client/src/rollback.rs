//! `daca rollback`: goes back to the previous version.

use reqwest::Method;

use super::admin::{self, Admin, Error};
use super::{Form, outcome};
use daca_model::admin::RollbackRequest;

/// Rolls back to the version that served before. `force` does so even if the host advises against it.
pub async fn rollback(admin: &Admin, agent_type: &str, force: bool, form: Form) -> Result<String, Error> {
    let path = admin::path(&["agents", admin::agent_type(agent_type)?, "rollback"], &[]);
    let request = admin.request(Method::POST, &path).json(&RollbackRequest { force });
    outcome::render(admin.send(request).await?, None, form)
}

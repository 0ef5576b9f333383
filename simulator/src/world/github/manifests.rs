//! GitHub Apps made from a manifest: the page that a person clicks on, and the exchange of its code.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{error, not_found, payload};
use crate::world::World;
use crate::world::request::{Response, with};
use crate::world::timeline::after;

/// A code is good for an hour, once.
const CODE_KEPT: Duration = Duration::from_secs(3600);
/// GitHub's own limit.
const NAME_MOST: usize = 34;

/// A manifest that a person agreed to.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    body: Value,
    until: Timestamp,
}

impl World {
    /// A person clicks on "Create GitHub App" on the page that this manifest was posted to
    /// (`/organizations/ORG/settings/apps/new`); the address to which GitHub sends the browser, or what its page complains of.
    pub fn create_app(&mut self, now: Timestamp, manifest: &str, state: &str) -> Result<String, String> {
        let body: Value = serde_json::from_str(manifest).map_err(|error| error.to_string())?;
        let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty());
        let name = text("name").ok_or("Name can't be blank")?;
        if name.len() > NAME_MOST {
            return Err(format!("Name is too long (maximum is {NAME_MOST} characters)"));
        }
        text("url").ok_or("Url must be a valid URL")?;
        let back = text("redirect_url").ok_or("Redirect url is missing")?.to_owned();
        if !body["hook_attributes"].is_null() && body["hook_attributes"]["url"].as_str().is_none() {
            return Err("Hook url can't be blank".to_owned());
        }
        let code = self.rng.text(40);
        self.github.manifests.insert(code.clone(), Manifest { body, until: after(now, CODE_KEPT) });
        Ok(format!("{back}?code={code}&state={state}"))
    }

    pub(crate) fn convert_manifest(&mut self, now: Timestamp, code: &str) -> Response {
        let Some(Manifest { body, until }) = self.github.manifests.remove(code) else { return not_found() };
        let Some(pem) = self.access.app_private_key_pem.clone().filter(|_| now < until) else {
            return not_found();
        };
        let Some(permissions) = body["default_permissions"].as_object().cloned() else {
            return error(422, "Validation Failed");
        };
        if let Some(url) = body["hook_attributes"]["url"].as_str() {
            url.clone_into(&mut self.webhook_url);
        }
        let app = self.get_app();
        let hook = (!body["hook_attributes"].is_null()).then(|| self.access.webhook_secret.clone());
        let told = with(
            app.value().clone(),
            [
                ("name", body["name"].clone()),
                ("owner", payload::user(self.first_owner(), "Organization")),
                ("external_url", body["url"].clone()),
                ("permissions", Value::Object(permissions)),
                ("events", body["default_events"].as_array().map_or(json!([]), |events| json!(events))),
                ("client_secret", json!(self.rng.text(40))),
                ("webhook_secret", json!(hook)),
                ("pem", json!(pem)),
            ],
        );
        Response::json(201, told)
    }
}

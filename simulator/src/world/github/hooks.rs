//! Webhooks: which there are, and where they go.

use serde_json::{Value, json};

use super::deliveries::HOOK_ID;
use super::{HookOwner, error, not_found, payload};
use crate::world::World;
use crate::world::request::Response;

impl World {
    pub(crate) fn list_hooks(&self, owner: &HookOwner) -> Response {
        if !self.settings.hook_access {
            return error(403, "Resource not accessible by integration");
        }
        let hooks = if *owner == self.settings.hook { vec![self.hook(owner)] } else { Vec::new() };
        Response::json(200, Value::Array(hooks))
    }

    pub(crate) fn get_hook(&self, owner: &HookOwner, id: u64) -> Response {
        match self.check_hook(owner, Some(id)) {
            Ok(()) => Response::json(200, self.hook(owner)),
            Err(refusal) => refusal,
        }
    }

    pub(crate) fn hook_config(&self) -> Response {
        if self.settings.hook != HookOwner::App {
            // The App's own hook is not set up: it has no address.
            return Response::json(200, json!({ "content_type": "form", "insecure_ssl": "0" }));
        }
        Response::json(200, self.hook_target())
    }

    /// Points the webhook there.
    pub fn point_webhook(&mut self, url: &str) {
        url.clone_into(&mut self.webhook_url);
        self.webhook_target = Some(url.to_owned());
    }

    pub(crate) fn set_hook_config(&mut self, body: &Value) -> Response {
        if self.settings.hook != HookOwner::App {
            return not_found();
        }
        if let Some(url) = body["url"].as_str() {
            self.point_webhook(url);
        }
        Response::json(200, self.hook_target())
    }

    fn hook_target(&self) -> Value {
        json!({ "content_type": "json", "insecure_ssl": "0", "secret": "********", "url": self.webhook_url })
    }

    fn hook(&self, owner: &HookOwner) -> Value {
        let (kind, place) = match owner {
            HookOwner::App => ("App", "app".to_owned()),
            HookOwner::Organization(login) => ("Organization", format!("orgs/{login}")),
            HookOwner::Repository(name) => ("Repository", format!("repos/{name}")),
        };
        let url = format!("https://api.github.com/{place}/hooks/{HOOK_ID}");
        json!({
            "type": kind, "id": HOOK_ID, "name": "web", "active": self.settings.rights.hook_active,
            "events": self.settings.rights.hook_events,
            "config": self.hook_target(),
            "updated_at": payload::BORN, "created_at": payload::BORN,
            "url": url,
            "ping_url": format!("{url}/pings"),
            "test_url": format!("{url}/test"),
            "deliveries_url": format!("{url}/deliveries"),
            "last_response": { "code": null, "status": "unused", "message": null },
        })
    }
}

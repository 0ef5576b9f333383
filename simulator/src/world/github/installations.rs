//! The GitHub App and its only installation.

use serde_json::{Value, json};

use super::runners::Scope;
use super::{not_found, payload};
use crate::world::World;
use crate::world::request::Response;

impl World {
    pub(crate) fn first_owner(&self) -> &str {
        self.settings.repositories.first().map_or("nobody", |each| each.owner.as_str())
    }

    fn installation(&self, owner: &str) -> Value {
        let id = self.access.installation_id;
        json!({
            "id": id,
            "account": payload::user(owner, "Organization"),
            "repository_selection": "all",
            "access_tokens_url": format!("https://api.github.com/app/installations/{id}/access_tokens"),
            "repositories_url": "https://api.github.com/installation/repositories",
            "html_url": format!("https://github.com/organizations/{owner}/settings/installations/{id}"),
            "app_id": self.access.app_id,
            "client_id": self.access.client_id,
            "app_slug": "mayfly",
            "target_id": payload::id_of(owner),
            "target_type": "Organization",
            "permissions": self.settings.rights.app_permissions,
            "events": self.settings.rights.app_events,
            "created_at": payload::BORN,
            "updated_at": payload::BORN,
            "single_file_name": null,
            "has_multiple_single_files": false,
            "single_file_paths": [],
            "suspended_by": null,
            "suspended_at": self.settings.rights.suspended.then_some(payload::BORN),
        })
    }

    pub(crate) fn list_installations(&self) -> Response {
        Response::json(200, json!([self.installation(self.first_owner())]))
    }

    pub(crate) fn get_installation(&self, id: u64) -> Response {
        if id != self.access.installation_id || !self.settings.rights.installed {
            return not_found();
        }
        Response::json(200, self.installation(self.first_owner()))
    }

    pub(crate) fn find_installation(&self, scope: &Scope) -> Response {
        let owner = match scope {
            Scope::Organization(login) => self.settings.has_organization(login).then_some(login.as_str()),
            Scope::Repository(name) => self.settings.repository(name).map(|each| each.owner.as_str()),
            Scope::Enterprise(slug) => {
                (self.settings.enterprise.as_ref() == Some(slug)).then(|| self.first_owner())
            }
        };
        let owner = owner.filter(|_| self.settings.rights.installed);
        owner.map_or_else(not_found, |owner| Response::json(200, self.installation(owner)))
    }

    pub(crate) fn get_app(&self) -> Response {
        let body = json!({
            "id": self.access.app_id,
            "slug": "mayfly",
            "client_id": self.access.client_id,
            "node_id": payload::node_id("A", self.access.app_id),
            "owner": payload::user(self.first_owner(), "Organization"),
            "name": "Mayfly",
            "description": null,
            "external_url": "https://example.com/mayfly",
            "html_url": "https://github.com/apps/mayfly",
            "created_at": payload::BORN,
            "updated_at": payload::BORN,
            "permissions": self.settings.rights.app_permissions,
            "events": self.settings.rights.app_events,
            "installations_count": 1,
        });
        Response::json(200, body)
    }
}

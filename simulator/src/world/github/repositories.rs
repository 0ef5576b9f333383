//! The repositories that there are.

use serde_json::{Value, json};

use super::{Page, not_found, payload};
use crate::world::World;
use crate::world::request::{Request, Response};

impl World {
    pub(crate) fn get_repository(&self, name: &str) -> Response {
        let found = self.settings.repository(name);
        found.map_or_else(not_found, |each| Response::json(200, payload::repository(each)))
    }

    pub(crate) fn organization_repositories(&self, login: &str, request: &Request) -> Response {
        if !self.settings.has_organization(login) {
            return not_found();
        }
        let of_org = self.settings.repositories.iter().filter(|each| each.owner.eq_ignore_ascii_case(login));
        let wanted = |private: bool| match request.parameter("type") {
            Some("public") => !private,
            Some("private") => private,
            Some("forks") => false,
            Some(_) | None => true,
        };
        let all: Vec<_> = of_org.filter(|each| wanted(each.private)).collect();
        let (page, total) = (Page::of(request), all.len());
        page.answer(total, page.cut(all).into_iter().map(payload::repository).collect())
    }

    pub(crate) fn installation_repositories(&self, request: &Request) -> Response {
        let (page, total) = (Page::of(request), self.settings.repositories.len());
        let bodies: Vec<Value> =
            page.cut(&self.settings.repositories).into_iter().map(payload::repository).collect();
        let body = json!({ "total_count": total, "repository_selection": "all", "repositories": bodies });
        page.answer(total, body)
    }
}

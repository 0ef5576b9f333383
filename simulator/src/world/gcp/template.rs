//! Instance templates, and what becomes of one under a request's own fields.

use serde_json::{Map, Value, json};

use super::catalog::List;
use super::{Outcome, invalid, last_part, missing, url};
use crate::world::World;
use crate::world::request::{Request, Response};

impl World {
    /// The properties of the template that `sourceInstanceTemplate` names, by a full or partial address.
    pub(crate) fn template_of(&self, address: &str) -> Result<&Value, Response> {
        let path = ["https://", "http://"].iter().find_map(|scheme| address.strip_prefix(scheme));
        let path = match path.and_then(|rest| rest.split_once("/compute/v1/")) {
            Some((_, path)) => path,
            None => address,
        };
        let path = match path.strip_prefix("projects/").and_then(|rest| rest.split_once('/')) {
            Some((project, rest)) if project == self.settings.project => rest,
            Some(_) => return Err(missing(path)),
            None => path,
        };
        let Some(name) = path.strip_prefix("global/instanceTemplates/") else {
            return Err(invalid("sourceInstanceTemplate", &format!("'{address}'. The URL is malformed.")));
        };
        let found = self.settings.templates.get(name);
        let place = format!("projects/{}/global/instanceTemplates/{name}", self.settings.project);
        found.map(|template| &template.properties).ok_or_else(|| missing(&place))
    }

    pub(crate) fn get_template(&self, name: &str) -> Outcome {
        let place = format!("projects/{}/global/instanceTemplates/{name}", self.settings.project);
        let template = self.settings.templates.get(name).ok_or_else(|| missing(&place))?;
        Ok(self.template_body(name, &template.properties))
    }

    pub(crate) fn list_templates(&self, request: &Request) -> Outcome {
        let all = self.settings.templates.iter();
        let items = all.map(|(name, template)| self.template_body(name, &template.properties)).collect();
        List { kind: "compute#instanceTemplateList", items }.answer(request)
    }

    fn template_body(&self, name: &str, properties: &Value) -> Value {
        json!({
            "kind": "compute#instanceTemplate",
            "id": super::catalog::id_of(name),
            "name": name,
            "description": "",
            "creationTimestamp": "2025-01-15T00:00:00.000-08:00",
            "properties": properties,
            "selfLink": url(&self.settings.project, &format!("global/instanceTemplates/{name}")),
        })
    }
}

/// The fields of an instance made from a template: a field of the request replaces the template's. Objects
/// are merged field by field (RFC 7396), but a list replaces the whole list, and so do the labels, which
/// are a map and not an object of known fields.
pub(crate) fn instantiate(template: &Value, request: Value, project: &str, zone: &str) -> Map<String, Value> {
    let mut merged = template.clone();
    overlay(&mut merged, request);
    let Value::Object(mut body) = merged else { return Map::new() };
    if let Some(machine) = body.get("machineType").and_then(Value::as_str) {
        let full = url(project, &format!("zones/{zone}/machineTypes/{}", last_part(machine)));
        body.insert("machineType".to_owned(), json!(full));
    }
    for gpu in body.get_mut("guestAccelerators").and_then(Value::as_array_mut).into_iter().flatten() {
        let kind = gpu["acceleratorType"].as_str().map(|kind| last_part(kind).to_owned());
        let full = kind.map(|kind| url(project, &format!("zones/{zone}/acceleratorTypes/{kind}")));
        gpu["acceleratorType"] = json!(full);
    }
    body
}

fn overlay(base: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *base = patch;
        return;
    };
    for (name, value) in fields {
        if value.is_null() {
            continue;
        }
        match base.get_mut(&name) {
            Some(old @ Value::Object(_)) if value.is_object() && name != "labels" => overlay(old, value),
            Some(old) => *old = value,
            None => base[name] = value,
        }
    }
}

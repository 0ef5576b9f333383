//! Reading instances: get, list, and the list over all zones.

use serde_json::{Map, Value, json};

use super::catalog::List;
use super::filter::Filter;
use super::vm::Vm;
use super::{Outcome, error, missing, url};
use crate::world::World;
use crate::world::request::{Request, Response};

impl World {
    pub(crate) fn vm_at(&self, zone: &str, name: &str) -> Result<&Vm, Response> {
        let place = || format!("projects/{}/zones/{zone}/instances/{name}", self.settings.project);
        self.gcp.find(zone, name).ok_or_else(|| missing(&place()))
    }

    pub(crate) fn get_instance(&self, zone: &str, name: &str) -> Outcome {
        Ok(self.vm_at(zone, name)?.instance(&self.settings.project))
    }

    /// Those of the given permissions that the service account has.
    pub(crate) fn test_permissions(&self, zone: &str, name: &str, body: &Value) -> Outcome {
        self.vm_at(zone, name)?;
        let asked = body["permissions"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let had: Vec<&str> = asked.filter(|permission| self.may_at_google(permission)).collect();
        // Google leaves an empty list out.
        Ok(if had.is_empty() { json!({}) } else { json!({ "permissions": had }) })
    }

    fn filtered(&self, request: &Request, zone: Option<&str>) -> Result<Vec<Value>, Response> {
        let filter = Filter::of(request)?;
        let mut found: Vec<&Vm> =
            self.gcp.vms.values().filter(|vm| zone.is_none_or(|zone| vm.zone == zone)).collect();
        found.sort_by(|a, b| (&a.zone, &a.name).cmp(&(&b.zone, &b.name)));
        let instances = found.into_iter().map(|vm| vm.instance(&self.settings.project));
        Ok(instances.filter(|instance| filter.fits(instance)).collect())
    }

    pub(crate) fn list_instances(&self, zone: &str, request: &Request) -> Outcome {
        if self.settings.zone(zone).is_none() {
            return Err(missing(&format!("projects/{}/zones/{zone}", self.settings.project)));
        }
        let items = self.filtered(request, Some(zone))?;
        // The filter was applied already; the rest of a list's parameters are left.
        List { kind: "compute#instanceList", items }.page(request)
    }

    pub(crate) fn aggregated_instances(&self, request: &Request) -> Outcome {
        let all = self.filtered(request, None)?;
        let mut list = List { kind: "compute#instanceAggregatedList", items: all }.page(request)?;
        let page = list["items"].as_array().cloned().unwrap_or_default();
        let mut scopes = Map::new();
        for zone in &self.settings.zones {
            let zone_url = url(&self.settings.project, &format!("zones/{}", zone.name));
            let inside: Vec<&Value> = page.iter().filter(|each| each["zone"] == zone_url.as_str()).collect();
            let scope =
                if inside.is_empty() { nothing_in(&zone.name) } else { json!({ "instances": inside }) };
            scopes.insert(format!("zones/{}", zone.name), scope);
        }
        list["items"] = Value::Object(scopes);
        Ok(list)
    }
}

fn nothing_in(zone: &str) -> Value {
    json!({ "warning": {
        "code": "NO_RESULTS_ON_PAGE",
        "message": format!("There are no results for scope 'zones/{zone}' on this page."),
        "data": [{ "key": "scope", "value": format!("zones/{zone}") }],
    } })
}

/// 412: the fingerprint is not the present one.
pub(crate) fn stale(what: &str) -> Response {
    let text = format!("Supplied fingerprint does not match current {what} fingerprint.");
    error(412, "conditionNotMet", &text)
}

//! What the cloud offers: the project, regions, zones, machine types, GPUs. And lists of any kind.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::filter::Filter;
use super::quota::cpus_of;
use super::{Outcome, error, invalid, missing, url};
use crate::world::World;
use crate::world::request::Request;

/// No page is longer, whatever `maxResults` says.
const LONGEST_PAGE: i64 = 500;
const BORN: &str = "2020-01-01T00:00:00.000-08:00";

/// A list to be answered in pages.
pub(crate) struct List {
    pub kind: &'static str,
    pub items: Vec<Value>,
}

impl List {
    /// Filtered, then cut into pages.
    pub fn answer(mut self, request: &Request) -> Outcome {
        let filter = Filter::of(request)?;
        self.items.retain(|item| filter.fits(item));
        self.page(request)
    }

    /// The page that `maxResults` and `pageToken` ask for. A token names the last item of the page before,
    /// so that nothing is skipped when items vanish meanwhile.
    pub fn page(self, request: &Request) -> Outcome {
        let most = match request.parameter("maxResults").map(str::parse::<i64>) {
            None => LONGEST_PAGE,
            Some(Ok(most @ 0..=LONGEST_PAGE)) => most,
            Some(_) => return Err(invalid("maxResults", "it must be 0 to 500")),
        };
        let most = usize::try_from(if most == 0 { LONGEST_PAGE } else { most }).unwrap_or(1);
        let after = request.parameter("pageToken").map(parse_token).transpose()?;
        let mut items = self.items;
        items.sort_by_cached_key(key_of);
        let mut rest =
            items.into_iter().filter(|item| after.as_ref().is_none_or(|last| key_of(item) > *last));
        let page: Vec<Value> = rest.by_ref().take(most).collect();
        let mut body = json!({
            "kind": self.kind,
            "id": request.path.trim_start_matches("/compute/v1/"),
            "selfLink": format!("https://www.googleapis.com{}", request.path),
        });
        if let (Some(last), Some(_)) = (page.last(), rest.next()) {
            body["nextPageToken"] = json!(URL_SAFE_NO_PAD.encode(key_of(last)));
        }
        if !page.is_empty() {
            body["items"] = Value::Array(page);
        }
        Ok(body)
    }
}

/// Items are in the order of their addresses.
fn key_of(item: &Value) -> String {
    item["selfLink"].as_str().unwrap_or_default().to_owned()
}

fn parse_token(text: &str) -> Result<String, crate::world::request::Response> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| error(400, "invalid", "Invalid value for field 'pageToken'"))
}

/// A stable id for something that has only a name here.
pub(crate) fn id_of(name: &str) -> String {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    (1_000_000 + hasher.finish() % 1_000_000_000_000).to_string()
}

impl World {
    pub(crate) fn project(&self) -> Value {
        let name = &self.settings.project;
        json!({
            "kind": "compute#project", "id": id_of(name), "name": name, "creationTimestamp": BORN,
            "selfLink": format!("https://www.googleapis.com/compute/v1/projects/{name}"),
            "defaultServiceAccount": self.access.service_account,
            "commonInstanceMetadata": { "kind": "compute#metadata", "fingerprint": "Zm9v" },
            "quotas": self.project_quotas(),
        })
    }

    fn region_names(&self) -> BTreeSet<&str> {
        self.settings.zones.iter().map(crate::world::settings::Zone::region).collect()
    }

    pub(crate) fn get_region(&self, name: &str) -> Outcome {
        if !self.region_names().contains(name) {
            return Err(missing(&format!("projects/{}/regions/{name}", self.settings.project)));
        }
        Ok(self.region(name))
    }

    pub(crate) fn list_regions(&self, request: &Request) -> Outcome {
        let items = self.region_names().into_iter().map(|name| self.region(name)).collect();
        List { kind: "compute#regionList", items }.answer(request)
    }

    fn region(&self, name: &str) -> Value {
        let project = &self.settings.project;
        let inside = self.settings.zones.iter().filter(|zone| zone.region() == name);
        let zones: Vec<String> = inside.map(|zone| url(project, &format!("zones/{}", zone.name))).collect();
        json!({
            "kind": "compute#region", "id": id_of(name), "name": name, "description": name,
            "creationTimestamp": BORN, "status": "UP", "zones": zones,
            "quotas": self.quotas(name), "selfLink": url(project, &format!("regions/{name}")),
        })
    }

    pub(crate) fn get_zone(&self, name: &str) -> Outcome {
        self.known_zone(name)?;
        Ok(self.zone(name))
    }

    fn known_zone(&self, name: &str) -> Result<(), crate::world::request::Response> {
        let place = || format!("projects/{}/zones/{name}", self.settings.project);
        self.settings.zone(name).map(|_| ()).ok_or_else(|| missing(&place()))
    }

    pub(crate) fn list_zones(&self, request: &Request) -> Outcome {
        let items = self.settings.zones.iter().map(|zone| self.zone(&zone.name)).collect();
        List { kind: "compute#zoneList", items }.answer(request)
    }

    fn zone(&self, name: &str) -> Value {
        let project = &self.settings.project;
        let region = crate::world::settings::region_of(name);
        json!({
            "kind": "compute#zone", "id": id_of(name), "name": name, "description": name,
            "creationTimestamp": BORN, "status": "UP", "region": url(project, &format!("regions/{region}")),
            "selfLink": url(project, &format!("zones/{name}")),
        })
    }

    pub(crate) fn get_machine_type(&self, zone: &str, name: &str) -> Outcome {
        self.known_zone(zone)?;
        let cpus = cpus_of(name);
        Ok(json!({
            "kind": "compute#machineType", "id": id_of(name), "name": name, "creationTimestamp": BORN,
            "guestCpus": cpus, "memoryMb": cpus * 3840, "zone": zone, "isSharedCpu": false,
            "selfLink": url(&self.settings.project, &format!("zones/{zone}/machineTypes/{name}")),
        }))
    }

    pub(crate) fn list_accelerator_types(&self, zone: &str, request: &Request) -> Outcome {
        self.known_zone(zone)?;
        let items = ACCELERATORS.iter().map(|name| self.accelerator(zone, name)).collect();
        List { kind: "compute#acceleratorTypeList", items }.answer(request)
    }

    pub(crate) fn get_accelerator_type(&self, zone: &str, name: &str) -> Outcome {
        self.known_zone(zone)?;
        if !ACCELERATORS.contains(&name) {
            let place = format!("projects/{}/zones/{zone}/acceleratorTypes/{name}", self.settings.project);
            return Err(missing(&place));
        }
        Ok(self.accelerator(zone, name))
    }

    fn accelerator(&self, zone: &str, name: &str) -> Value {
        json!({
            "kind": "compute#acceleratorType", "id": id_of(name), "name": name, "description": name,
            "creationTimestamp": BORN, "maximumCardsPerInstance": 4,
            "zone": url(&self.settings.project, &format!("zones/{zone}")),
            "selfLink": url(&self.settings.project, &format!("zones/{zone}/acceleratorTypes/{name}")),
        })
    }
}

const ACCELERATORS: [&str; 4] = ["nvidia-l4", "nvidia-tesla-a100", "nvidia-tesla-t4", "nvidia-tesla-v100"];

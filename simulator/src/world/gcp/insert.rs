//! `instances.insert`: what is checked before it is accepted, and what is already doomed then.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::operations::{Doom, OperationKind};
use super::quota::needs_of;
use super::vm::Vm;
use super::{Outcome, error, invalid, missing, template};
use crate::world::World;
use crate::world::history::HappeningKind;
use crate::world::request::{Request, Response};
use crate::world::settings::QuotaRefusal;
use crate::world::timeline::{Due, after};

const LARGEST_METADATA_BYTES: usize = 512 * 1024;
const LARGEST_VALUE_BYTES: usize = 256 * 1024;

impl World {
    pub(crate) fn insert(&mut self, now: Timestamp, zone: &str, request: &Request, body: Value) -> Outcome {
        if let Some(earlier) = self.repeated(request)? {
            return Ok(earlier);
        }
        if self.settings.zone(zone).is_none() {
            return Err(missing(&format!("projects/{}/zones/{zone}", self.settings.project)));
        }
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        check_name(&name)?;
        let base = match request.parameter("sourceInstanceTemplate") {
            Some(address) => self.template_of(address)?.clone(),
            None => json!({}),
        };
        let merged = template::instantiate(&base, body, &self.settings.project, zone);
        check_instance(&merged)?;
        if self.gcp.find(zone, &name).is_some() {
            let text = format!(
                "The resource 'projects/{}/zones/{zone}/instances/{name}' already exists",
                self.settings.project
            );
            return Err(error(409, "alreadyExists", &text));
        }
        let doom = self.doom_of(now, zone, &name, &merged)?;
        Ok(self.accept(now, zone, &name, merged, doom, request))
    }

    /// Quota and machines: an error now, or a failure that the operation will show.
    fn doom_of(
        &mut self,
        now: Timestamp,
        zone: &str,
        name: &str,
        body: &Map<String, Value>,
    ) -> Result<Option<Doom>, Response> {
        if let Some(shortage) = self.quota_shortage(zone, &needs_of(body)) {
            self.note(now, HappeningKind::VmRefused, format!("{name} in {zone}: {}", shortage.message()));
            match self.settings.quota_refusal {
                QuotaRefusal::AtOnce => return Err(error(403, "quotaExceeded", &shortage.message())),
                QuotaRefusal::InOperation => return Ok(Some(Doom::Quota(shortage))),
            }
        }
        let taken = self.gcp.vms.values().filter(|vm| vm.zone == zone && vm.holds_machine()).count();
        let full =
            self.settings.zone(zone).and_then(|zone| zone.machines).is_some_and(|machines| taken >= machines);
        if self.faults.is_out_of_stock(zone, now) || full {
            return Ok(Some(Doom::Stockout));
        }
        Ok(None)
    }

    fn accept(
        &mut self,
        now: Timestamp,
        zone: &str,
        name: &str,
        body: Map<String, Value>,
        doom: Option<Doom>,
        request: &Request,
    ) -> Value {
        let id = self.gcp.next_vm_id();
        self.gcp.insert_vm(Vm::new(id, name, zone, body, now));
        self.note(now, HappeningKind::VmAsked, format!("{name} is asked for in {zone}"));
        self.check_inserted(now, id);
        let takes = self.rng.around(self.settings.timing.insert, self.settings.timing.jitter);
        self.timeline.at(after(now, takes.mul_f64(0.5)), Due::VmStages(id));
        self.start_operation(now, OperationKind::Insert, id, takes, doom, request)
    }
}

/// `[a-z]([-a-z0-9]{0,61}[a-z0-9])?`
fn check_name(name: &str) -> Result<(), Response> {
    let bytes = name.as_bytes();
    let begins = bytes.first().is_some_and(u8::is_ascii_lowercase);
    let ends = bytes.last().is_some_and(|last| last.is_ascii_lowercase() || last.is_ascii_digit());
    let inside = bytes.iter().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || *each == b'-');
    if begins && ends && inside && bytes.len() <= 63 {
        return Ok(());
    }
    Err(invalid(
        "resource.name",
        &format!("'{name}'. Must be a match of regex '(?:[a-z](?:[-a-z0-9]{{0,61}}[a-z0-9])?)'"),
    ))
}

fn check_instance(body: &Map<String, Value>) -> Result<(), Response> {
    for needed in ["machineType", "disks", "networkInterfaces"] {
        let given = body.get(needed).is_some_and(|value| *value != json!([]) && *value != json!(""));
        if !given {
            return Err(error(400, "required", &format!("Required field 'resource.{needed}' not specified")));
        }
    }
    if let Some(labels) = body.get("labels") {
        check_labels(labels)?;
    }
    if let Some(metadata) = body.get("metadata") {
        check_metadata(metadata)?;
    }
    check_scheduling(body)
}

/// At most 64; keys 1 to 63 of `a-z0-9_-`, a letter first; values at most 63 of the same.
pub(crate) fn check_labels(labels: &Value) -> Result<(), Response> {
    let entries = labels.as_object().into_iter().flatten();
    let fits = |text: &str| {
        let allowed =
            |each: char| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '_' || each == '-';
        text.len() <= 63 && text.chars().all(allowed)
    };
    for (at, (key, value)) in entries.enumerate() {
        let key_fits = fits(key) && key.starts_with(|first: char| first.is_ascii_lowercase());
        if at >= 64 || !key_fits || !fits(value.as_str().unwrap_or_default()) {
            return Err(invalid("resource.labels", &format!("the label '{key}' is invalid")));
        }
    }
    Ok(())
}

/// No key twice; each value at most 256 KiB, all together at most 512 KiB.
pub(crate) fn check_metadata(metadata: &Value) -> Result<(), Response> {
    let mut seen = std::collections::BTreeSet::new();
    let mut total = 0;
    for item in metadata["items"].as_array().into_iter().flatten() {
        let (key, value) =
            (item["key"].as_str().unwrap_or_default(), item["value"].as_str().unwrap_or_default());
        total += key.len() + value.len();
        if !seen.insert(key) {
            return Err(invalid("resource.metadata", &format!("the key '{key}' is there twice")));
        }
        if value.len() > LARGEST_VALUE_BYTES || total > LARGEST_METADATA_BYTES {
            return Err(invalid("resource.metadata", "it is too large"));
        }
    }
    Ok(())
}

fn check_scheduling(body: &Map<String, Value>) -> Result<(), Response> {
    let scheduling = body.get("scheduling").unwrap_or(&Value::Null);
    let has_gpu =
        body.get("guestAccelerators").and_then(Value::as_array).is_some_and(|gpus| !gpus.is_empty());
    if has_gpu && scheduling["onHostMaintenance"] != "TERMINATE" {
        let why = "Instances with guest accelerators do not support live migration.";
        return Err(invalid("resource.scheduling.onHostMaintenance", why));
    }
    let duration = &scheduling["maxRunDuration"]["seconds"];
    let seconds = duration.as_str().and_then(|text| text.parse::<u64>().ok());
    let in_range = seconds.is_some_and(|seconds| (30..=120 * 24 * 3600).contains(&seconds));
    if !duration.is_null() && !in_range {
        return Err(invalid("resource.scheduling.maxRunDuration", "it must be 30 seconds to 120 days"));
    }
    if !duration.is_null() && scheduling["instanceTerminationAction"].is_null() {
        let why = "You must specify an instance termination action with a limited run time.";
        return Err(invalid("resource.scheduling.instanceTerminationAction", why));
    }
    Ok(())
}

//! A VM: what was asked for, and where it stands.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::quota::{Needs, needs_of};
use crate::world::guest::Inside;
use crate::world::ids::VmId;
use crate::world::request::Api;
use crate::world::timeline::after;
use crate::world::view::VmView;

/// The part of Compute Engine's statuses that occurs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VmStatus {
    Provisioning,
    Staging,
    Running,
    Stopping,
    Terminated,
}

impl VmStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Staging => "STAGING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Terminated => "TERMINATED",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Vm {
    pub id: VmId,
    pub name: String,
    pub zone: String,
    /// The instance's fields as asked for: template and request merged.
    pub body: Map<String, Value>,
    pub status: VmStatus,
    pub created: Timestamp,
    pub started: Option<Timestamp>,
    /// When its own `maxRunDuration` allows it to be ended, counted from its creation.
    pub expires: Option<Timestamp>,
    pub deleting: bool,
    pub inside: Inside,
    /// Changes of labels or metadata: what the fingerprints stand for.
    pub generation: u64,
    /// What it takes of the region's quotas.
    pub needs: Needs,
}

impl Vm {
    pub fn new(id: VmId, name: &str, zone: &str, body: Map<String, Value>, now: Timestamp) -> Self {
        let needs = needs_of(&body);
        let mut vm = Self {
            id,
            name: name.to_owned(),
            zone: zone.to_owned(),
            body,
            status: VmStatus::Provisioning,
            created: now,
            started: None,
            expires: None,
            deleting: false,
            inside: Inside::off(),
            generation: 1,
            needs,
        };
        vm.expires = vm.max_run_duration().map(|duration| after(now, duration));
        vm
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.body.get("labels")?.get(key)?.as_str()
    }

    /// The labels `mayfly-deployment` and `mayfly-pool`.
    pub fn marks(&self) -> Option<(String, String)> {
        Some((self.label("mayfly-deployment")?.to_owned(), self.label("mayfly-pool")?.to_owned()))
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        let items = self.body.get("metadata")?.get("items")?.as_array()?;
        items.iter().find(|item| item["key"] == key)?["value"].as_str()
    }

    /// What a guest finds in its metadata.
    pub fn jit_config(&self) -> Option<&str> {
        self.metadata("jit-config")
    }

    pub fn is_running(&self) -> bool {
        self.status == VmStatus::Running
    }

    pub fn max_run_duration(&self) -> Option<Duration> {
        let seconds = self.body.get("scheduling")?.get("maxRunDuration")?.get("seconds")?;
        seconds.as_str()?.parse().ok().map(Duration::from_secs)
    }

    pub fn deletes_itself(&self) -> bool {
        self.body
            .get("scheduling")
            .is_some_and(|scheduling| scheduling["instanceTerminationAction"] == "DELETE")
    }

    /// Whether it takes up a machine, and the quota that goes with one.
    pub fn holds_machine(&self) -> bool {
        self.status != VmStatus::Terminated
    }

    pub fn fingerprint(&self) -> String {
        URL_SAFE.encode((self.id.0 ^ self.generation).to_be_bytes())
    }

    pub fn view(&self, gone: Option<Timestamp>) -> VmView {
        let labels = self.body.get("labels").and_then(Value::as_object);
        let labels: BTreeMap<String, String> = labels
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        VmView {
            id: self.id,
            name: self.name.clone(),
            zone: self.zone.clone(),
            provider: Api::Gcp,
            vmid: None,
            status: self.status.name(),
            labels,
            created: self.created,
            gone,
            runner: self.inside.runner,
        }
    }

    /// The instance, as `instances.get` answers it.
    pub fn instance(&self, project: &str) -> Value {
        let mut body = self.body.clone();
        let zone_url = super::url(project, &format!("zones/{}", self.zone));
        let mut set = |name: &str, value: Value| {
            body.insert(name.to_owned(), value);
        };
        set("kind", json!("compute#instance"));
        set("id", json!(self.id.to_string()));
        set("name", json!(self.name));
        set("status", json!(self.status.name()));
        set("zone", json!(zone_url));
        set("selfLink", json!(format!("{zone_url}/instances/{}", self.name)));
        set("creationTimestamp", json!(super::time(self.created)));
        set("labelFingerprint", json!(self.fingerprint()));
        set("fingerprint", json!(self.fingerprint()));
        set("startRestricted", json!(false));
        set("deletionProtection", json!(false));
        set("cpuPlatform", json!("Intel Skylake"));
        if let Some(started) = self.started {
            set("lastStartTimestamp", json!(super::time(started)));
        }
        let fingerprint = json!(self.fingerprint());
        let metadata = body.entry("metadata").or_insert_with(|| json!({ "items": [] }));
        metadata["kind"] = json!("compute#metadata");
        metadata["fingerprint"] = fingerprint;
        Value::Object(body)
    }
}

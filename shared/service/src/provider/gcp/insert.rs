//! What an insert says, without I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use google_cloud_compute_v1::model::scheduling::{
    InstanceTerminationAction, OnHostMaintenance, ProvisioningModel,
};
use google_cloud_compute_v1::model::{
    Duration as RunDuration, Instance, InstanceProperties, Metadata, Scheduling, metadata,
};
use mayfly_core::policy::GcpPlacement;
use sha2::{Digest, Sha256};

use crate::provider::VmOrder;

/// The label that says whose a VM is.
pub(super) const DEPLOYMENT_LABEL: &str = "mayfly-deployment";
/// The label that says of which pool it is.
pub(super) const POOL_LABEL: &str = "mayfly-pool";
/// The metadata item that the guest starts its runner with.
const JIT_CONFIG_ITEM: &str = "jit-config";
/// The metadata item that says whether the guest has to find a GPU.
const EXPECT_GPU_ITEM: &str = "expect-gpu";

/// A global instance template as it is referred to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemplateRef {
    /// Its project, where it is not the VM's own.
    pub project: Option<String>,
    /// Its name.
    pub name: String,
}

impl TemplateRef {
    /// Reads a name, a partial URL (`global/instanceTemplates/x`, `projects/p/global/…`) or a full one; `None` when it
    /// is none of these.
    pub fn parse(given: &str) -> Option<Self> {
        let path = match given.split_once("://") {
            Some((_, url)) => url.get(url.find("projects/")?..)?,
            None => given.trim_start_matches('/'),
        };
        let parts: Vec<&str> = path.split('/').collect();
        let (project, name) = match parts.as_slice() {
            [name] | ["global", "instanceTemplates", name] => (None, *name),
            ["projects", project, "global", "instanceTemplates", name] => {
                (Some((*project).to_owned()), *name)
            }
            _ => return None,
        };
        (!name.is_empty()).then(|| Self { project, name: name.to_owned() })
    }

    /// As `sourceInstanceTemplate` takes it.
    pub fn url(&self) -> String {
        let local = format!("global/instanceTemplates/{}", self.name);
        match &self.project {
            Some(project) => format!("projects/{project}/{local}"),
            None => local,
        }
    }
}

/// The part of a template that an insert has to repeat, since an override replaces a whole list or object.
#[derive(Debug, Clone, Default)]
pub(super) struct Template {
    labels: BTreeMap<String, String>,
    items: BTreeMap<String, String>,
    scheduling: Scheduling,
    pub(super) accelerators: Vec<(String, f64)>,
}

impl Template {
    /// Takes it from `instanceTemplates.get`'s `properties`.
    pub fn read(properties: InstanceProperties) -> Self {
        let items = properties.metadata.map(|metadata| metadata.items).unwrap_or_default();
        let accelerator = |config: google_cloud_compute_v1::model::AcceleratorConfig| {
            let kind = config.accelerator_type.unwrap_or_default();
            let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
            (kind, f64::from(config.accelerator_count.unwrap_or(1)))
        };
        Self {
            labels: properties.labels.into_iter().collect(),
            items: items
                .into_iter()
                .filter_map(|item| Some((item.key?, item.value.unwrap_or_default())))
                .collect(),
            scheduling: properties.scheduling.unwrap_or_default(),
            accelerators: properties.guest_accelerators.into_iter().map(accelerator).collect(),
        }
    }

    /// How many accelerators of that type one VM has. Machine types that bring their own GPUs are not listed in a
    /// template; they count as one.
    pub fn accelerators(&self, gpu_type: &str) -> f64 {
        let listed: f64 =
            self.accelerators.iter().filter(|(kind, _)| kind == gpu_type).map(|(_, count)| count).sum();
        if listed > 0.0 { listed } else { 1.0 }
    }

    /// Whether the template itself asks for Spot VMs.
    pub fn is_spot(&self) -> bool {
        self.scheduling.provisioning_model == Some(ProvisioningModel::Spot)
            || self.scheduling.preemptible == Some(true)
    }
}

/// What overrides the template: the marks, the JIT config, and the VM's own end.
pub(super) fn body(template: &Template, placement: &GcpPlacement, order: &VmOrder<'_>) -> Instance {
    let mut labels = template.labels.clone();
    labels.insert(DEPLOYMENT_LABEL.to_owned(), order.deployment.to_string());
    labels.insert(POOL_LABEL.to_owned(), order.pool.to_string());

    let mut items = template.items.clone();
    items.insert(JIT_CONFIG_ITEM.to_owned(), order.jit_config.expose().to_owned());
    items.insert(EXPECT_GPU_ITEM.to_owned(), placement.gpu_type.is_some().to_string());
    let items = items.into_iter().map(|(key, value)| metadata::Items::new().set_key(key).set_value(value));

    Instance::new()
        .set_name(order.name.as_str())
        .set_labels(labels)
        .set_metadata(Metadata::new().set_items(items))
        .set_scheduling(scheduling(&template.scheduling, order.max_lifetime, placement.spot))
}

fn scheduling(template: &Scheduling, max_lifetime: Duration, spot: bool) -> Scheduling {
    // Up, because a part of a second would be cut off; GCP counts in whole seconds for a run's duration.
    let seconds = max_lifetime.as_secs() + u64::from(max_lifetime.subsec_nanos() > 0);
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let mut scheduling = template
        .clone()
        .set_max_run_duration(RunDuration::new().set_seconds(seconds))
        .set_instance_termination_action(InstanceTerminationAction::Delete)
        // A VM that Compute Engine starts again gets the whole duration anew, and its JIT config is used up. Spot VMs
        // may not have it at all.
        .set_automatic_restart(false);
    // One limit only: GCP takes either a duration or a time.
    scheduling.termination_time = None;
    if spot {
        scheduling = scheduling
            .set_provisioning_model(ProvisioningModel::Spot)
            .set_on_host_maintenance(OnHostMaintenance::Terminate);
        // A `false` from the template would contradict the model, which implies it.
        scheduling.preemptible = None;
    }
    scheduling
}

/// The `requestId` of an insert, a UUID (RFC 9562, version 8): the same for a repeat of the same insert, so that GCP
/// ignores the second. `attempt` tells apart the creates of one name that come minutes later because the
/// first was refused: to GCP the same id would mean the first one's outcome.
pub(super) fn request_id(name: &str, zone: &str, attempt: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(name);
    hash.update([0]);
    hash.update(zone);
    hash.update([0]);
    hash.update(attempt.to_be_bytes());
    let digest = hash.finalize();
    let mut text = String::new();
    for (place, byte) in digest.into_iter().take(16).enumerate() {
        let byte = match place {
            6 => byte & 0x0f | 0x80,
            8 => byte & 0x3f | 0x80,
            _ => byte,
        };
        let hyphen = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
        text.push_str(&format!("{hyphen}{byte:02x}"));
    }
    text
}

#[cfg(test)]
#[path = "insert_tests.rs"]
mod tests;

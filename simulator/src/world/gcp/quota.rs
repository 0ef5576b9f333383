//! Quotas of regions: what is needed, what is used, what is left.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::last_part;
use crate::world::World;
use crate::world::settings::region_of;

/// How much a VM takes of each metric.
pub(crate) type Needs = BTreeMap<String, f64>;

/// A quota that is too small.
#[derive(Debug, Clone)]
pub(crate) struct Shortage {
    pub metric: String,
    pub limit: f64,
    /// None for a quota of the project's, over all regions.
    pub region: Option<String>,
}

impl Shortage {
    pub fn message(&self) -> String {
        let place =
            self.region.as_ref().map_or("globally".to_owned(), |region| format!("in region {region}"));
        format!("Quota '{}' exceeded.  Limit: {:.1} {place}.", self.metric, self.limit)
    }
}

/// What a VM with these fields takes while it holds a machine.
pub(crate) fn needs_of(body: &Map<String, Value>) -> Needs {
    let scheduling = body.get("scheduling").unwrap_or(&Value::Null);
    let spot = scheduling["provisioningModel"] == "SPOT" || scheduling["preemptible"] == true;
    let prefix = if spot { "PREEMPTIBLE_" } else { "" };
    let machine = body.get("machineType").and_then(Value::as_str).unwrap_or_default();
    let mut needs = Needs::from([("INSTANCES".to_owned(), 1.0)]);
    needs.insert(format!("{prefix}CPUS"), f64::from(cpus_of(last_part(machine))));
    for gpu in body.get("guestAccelerators").and_then(Value::as_array).into_iter().flatten() {
        let metric = gpu_metric(last_part(gpu["acceleratorType"].as_str().unwrap_or_default()));
        let count = gpu["acceleratorCount"].as_f64().unwrap_or(1.0);
        *needs.entry(format!("{prefix}{metric}")).or_default() += count;
        *needs.entry("GPUS_ALL_REGIONS".to_owned()).or_default() += count;
    }
    let interfaces = body.get("networkInterfaces").and_then(Value::as_array).into_iter().flatten();
    let addresses =
        interfaces.filter(|each| each["accessConfigs"].as_array().is_some_and(|all| !all.is_empty()));
    needs.insert("IN_USE_ADDRESSES".to_owned(), addresses.count() as f64);
    needs
}

/// `n1-standard-4` has 4; a type that does not say counts as 2.
pub(crate) fn cpus_of(machine_type: &str) -> u32 {
    machine_type.rsplit('-').next().and_then(|last| last.parse().ok()).unwrap_or(2)
}

/// `nvidia-tesla-t4` is counted as `NVIDIA_T4_GPUS`.
fn gpu_metric(accelerator: &str) -> String {
    let name = accelerator.trim_start_matches("nvidia-").trim_start_matches("tesla-");
    format!("NVIDIA_{}_GPUS", name.to_uppercase().replace('-', "_"))
}

impl World {
    /// The first quota of the zone's region, or of the project, that one more VM would pass.
    pub(crate) fn quota_shortage(&self, zone: &str, needs: &Needs) -> Option<Shortage> {
        let region = region_of(zone);
        let limits =
            self.settings.quotas.get(region).into_iter().flatten().map(|limit| (limit, Some(region)));
        let of_project = self.settings.project_quotas.iter().map(|limit| (limit, None));
        let short = |((metric, limit), region): &((&String, &f64), Option<&str>)| {
            let need = needs.get(*metric).copied().unwrap_or_default();
            need > 0.0 && self.usage(*region, metric) + need > **limit
        };
        let ((metric, limit), region) = limits.chain(of_project).find(short)?;
        Some(Shortage { metric: metric.clone(), limit: *limit, region: region.map(str::to_owned) })
    }

    /// What the VMs of a region, or all, take of a metric. A stopped one counts as an instance and nothing else.
    fn usage(&self, region: Option<&str>, metric: &str) -> f64 {
        let inside =
            self.gcp.vms.values().filter(|vm| region.is_none_or(|region| region_of(&vm.zone) == region));
        let counted = inside.filter(|vm| vm.holds_machine() || metric == "INSTANCES");
        // A sum of nothing would be -0.0.
        counted.filter_map(|vm| vm.needs.get(metric)).fold(0.0, |sum, amount| sum + amount)
    }

    /// The `quotas` of a region.
    pub(crate) fn quotas(&self, region: &str) -> Vec<Value> {
        let limits = self.settings.quotas.get(region).into_iter().flatten();
        let quota = |(metric, limit): (&String, &f64)| {
            let usage = self.usage(Some(region), metric);
            json!({ "metric": metric, "limit": limit, "usage": usage })
        };
        limits.map(quota).collect()
    }

    /// The project's `quotas`.
    pub(crate) fn project_quotas(&self) -> Vec<Value> {
        let quota = |(metric, limit): (&String, &f64)| json!({ "metric": metric, "limit": limit, "usage": self.usage(None, metric) });
        self.settings.project_quotas.iter().map(quota).collect()
    }
}

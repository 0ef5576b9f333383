//! What the world is like: its repositories, zones, quotas, templates and how long things take.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::github::HookOwner;
use super::lab::Lab;
use super::rights::Rights;

/// A repository that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The organization's login.
    pub owner: String,
    /// The name without the owner.
    pub name: String,
    /// Whether it is private.
    pub private: bool,
    /// Whether it is archived: it can be read, and runs no workflows.
    pub archived: bool,
}

impl Repository {
    /// A public repository, from `owner/name`.
    pub fn public(full_name: &str) -> Self {
        let (owner, name) = full_name.split_once('/').unwrap_or(("", full_name));
        Self { owner: owner.to_owned(), name: name.to_owned(), private: false, archived: false }
    }

    /// A private repository, from `owner/name`.
    pub fn private(full_name: &str) -> Self {
        Self { private: true, ..Self::public(full_name) }
    }

    /// `owner/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

/// Whose jobs the runners of a group take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupVisibility {
    /// All repositories of the organization.
    All,
    /// Only these, by name without the owner.
    Selected(Vec<String>),
    /// Only private ones.
    Private,
}

/// A runner group of the organizations (and of the enterprise). Id 1 is the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerGroup {
    /// GitHub's id.
    pub id: u64,
    /// Its name; GitHub calls the default one `Default`.
    pub name: String,
    /// Whose jobs its runners take.
    pub visibility: GroupVisibility,
    /// Whether its runners take jobs of public repositories.
    pub allows_public_repositories: bool,
}

/// A zone, with so many machines in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// For example `us-east1-c`.
    pub name: String,
    /// How many VMs find a machine at once; none for no bound.
    pub machines: Option<usize>,
}

impl Zone {
    /// The region it lies in: `us-east1`.
    pub fn region(&self) -> &str {
        region_of(&self.name)
    }
}

/// The region of a zone: all but its last part.
pub fn region_of(zone: &str) -> &str {
    zone.rsplit_once('-').map_or(zone, |(region, _)| region)
}

/// An instance template: GCP's `InstanceProperties`, in JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceTemplate {
    /// As `instanceTemplates.get` answers them in `properties`.
    pub properties: Value,
}

/// How GCP says that a quota is used up. It has been seen to do both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaRefusal {
    /// The insert is refused: 403 `quotaExceeded`.
    AtOnce,
    /// The insert is accepted; its operation fails with `QUOTA_EXCEEDED`.
    InOperation,
}

/// The most VMs that a pool may have at any time (I2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLimit {
    /// The label `mayfly-deployment`.
    pub deployment: String,
    /// The label `mayfly-pool`.
    pub pool: String,
    /// `max_runners`.
    pub max_vms: usize,
}

/// How long things take, in simulated time.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// From an accepted insert until its operation is done and the VM RUNNING, or until it failed.
    pub insert: Duration,
    /// How long any other operation takes (`setLabels`, `stop`, …).
    pub operation: Duration,
    /// From an accepted delete until the VM is gone.
    pub delete: Duration,
    /// From RUNNING until the guest looks for its JIT configuration.
    pub boot: Duration,
    /// From finding it until the runner is online at GitHub.
    pub registration: Duration,
    /// From the end of the job until the VM is TERMINATED.
    pub power_off: Duration,
    /// From an accepted linked clone until its task is done.
    pub clone: Duration,
    /// From an accepted full clone until its task is done.
    pub full_clone: Duration,
    /// How long a start's task takes at Proxmox VE.
    pub pve_start: Duration,
    /// How long a stop's task takes there.
    pub pve_stop: Duration,
    /// How long a deletion's task takes there.
    pub pve_delete: Duration,
    /// From something happening at GitHub until its webhook is sent.
    pub webhook: Duration,
    /// Silence after which GitHub shows a runner as offline.
    pub offline_after: Duration,
    /// Silence after which GitHub gives up the job of a runner.
    pub job_lost_after: Duration,
    /// How long GitHub keeps the registration of a runner that is not connected.
    pub registration_kept: Duration,
    /// Each of these varies by this share: 0.2 for 20 % more or less.
    pub jitter: f64,
}

impl Timing {
    /// About what is seen out there.
    pub fn realistic() -> Self {
        Self {
            insert: Duration::from_secs(12),
            operation: Duration::from_secs(3),
            delete: Duration::from_secs(40),
            boot: Duration::from_secs(30),
            registration: Duration::from_secs(6),
            power_off: Duration::from_secs(10),
            clone: Duration::from_secs(8),
            full_clone: Duration::from_secs(90),
            pve_start: Duration::from_secs(3),
            pve_stop: Duration::from_secs(2),
            pve_delete: Duration::from_secs(4),
            webhook: Duration::from_millis(800),
            offline_after: Duration::from_secs(60),
            job_lost_after: Duration::from_secs(600),
            registration_kept: Duration::from_secs(24 * 3600),
            jitter: 0.3,
        }
    }

    /// For demos and tests that run in real time: a job's whole way takes well under a second.
    pub fn brisk() -> Self {
        Self {
            insert: Duration::from_millis(60),
            operation: Duration::from_millis(20),
            delete: Duration::from_millis(80),
            boot: Duration::from_millis(60),
            registration: Duration::from_millis(20),
            power_off: Duration::from_millis(30),
            clone: Duration::from_millis(40),
            full_clone: Duration::from_millis(120),
            pve_start: Duration::from_millis(30),
            pve_stop: Duration::from_millis(20),
            pve_delete: Duration::from_millis(30),
            webhook: Duration::from_millis(3),
            offline_after: Duration::from_millis(300),
            job_lost_after: Duration::from_secs(1),
            registration_kept: Duration::from_secs(3600),
            jitter: 0.3,
        }
    }
}

/// What the world is like at its start.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// All randomness comes from it: the same seed and the same calls tell the same history.
    pub seed: u64,
    /// The repositories; their owners are the organizations.
    pub repositories: Vec<Repository>,
    /// The enterprise that the organizations belong to, by slug.
    pub enterprise: Option<String>,
    /// Runner groups, the same in each organization and in the enterprise.
    pub runner_groups: Vec<RunnerGroup>,
    /// Whose webhook tells of the jobs.
    pub hook: HookOwner,
    /// Whether the credentials may read hooks and deliveries; 403 if not.
    pub hook_access: bool,
    /// What the credentials may do.
    pub rights: Rights,
    /// So many seconds GitHub's clock is ahead of the callers' (behind them, when negative).
    pub github_ahead_seconds: i64,
    /// GitHub API calls allowed per hour.
    pub rate_limit: u32,
    /// How long an installation token is good for; GitHub: one hour.
    pub token_lifetime: Duration,
    /// A job that fits several idle runners goes to a random one (as at GitHub, where it is anyone's
    /// guess), not to the one registered first.
    pub random_matching: bool,
    /// The GCP project's id.
    pub project: String,
    /// The zones, in no order that matters.
    pub zones: Vec<Zone>,
    /// Quotas: region → metric → limit. A metric that is not there has no limit.
    pub quotas: BTreeMap<String, BTreeMap<String, f64>>,
    /// The project's own quotas, over all regions: `GPUS_ALL_REGIONS`. One that is not there has no limit, and is not told.
    pub project_quotas: BTreeMap<String, f64>,
    /// How a used up quota is told.
    pub quota_refusal: QuotaRefusal,
    /// Global instance templates by name.
    pub templates: BTreeMap<String, InstanceTemplate>,
    /// The Proxmox VE cluster.
    pub proxmox: Lab,
    /// How long things take.
    pub timing: Timing,
    /// The deployment that this world serves: VMs with another's label are strangers (I3). None: any
    /// VM with marks may be touched.
    pub deployment: Option<String>,
    /// The limits that I2 holds.
    pub pool_limits: Vec<PoolLimit>,
}

impl Default for Settings {
    fn default() -> Self {
        let zones = ["us-east1-c", "us-east1-d", "us-central1-a", "us-west1-a"];
        let zones: Vec<Zone> = zones.map(|name| Zone { name: name.to_owned(), machines: None }).into();
        let quotas = zones.iter().map(|zone| (zone.region().to_owned(), default_quotas())).collect();
        Self {
            seed: 1,
            repositories: vec![Repository::private("shader-slang/slang")],
            enterprise: None,
            runner_groups: vec![RunnerGroup {
                id: 1,
                name: "Default".to_owned(),
                visibility: GroupVisibility::All,
                allows_public_repositories: true,
            }],
            hook: HookOwner::App,
            hook_access: true,
            rights: Rights::default(),
            github_ahead_seconds: 0,
            rate_limit: 15_000,
            token_lifetime: Duration::from_secs(3600),
            random_matching: true,
            project: "slang-runners".to_owned(),
            zones,
            quotas,
            project_quotas: BTreeMap::new(),
            quota_refusal: QuotaRefusal::AtOnce,
            templates: default_templates(),
            proxmox: Lab::default(),
            timing: Timing::realistic(),
            deployment: None,
            pool_limits: Vec::new(),
        }
    }
}

impl Settings {
    /// The default world, in which everything happens within milliseconds.
    pub fn brisk() -> Self {
        Self { timing: Timing::brisk(), proxmox: Lab::brisk(), ..Self::default() }
    }

    /// Set one quota of a region.
    pub fn set_quota(&mut self, region: &str, metric: &str, limit: f64) {
        self.quotas.entry(region.to_owned()).or_default().insert(metric.to_owned(), limit);
    }

    pub(crate) fn repository(&self, full_name: &str) -> Option<&Repository> {
        self.repositories.iter().find(|each| each.full_name().eq_ignore_ascii_case(full_name))
    }

    pub(crate) fn has_organization(&self, login: &str) -> bool {
        self.repositories.iter().any(|each| each.owner.eq_ignore_ascii_case(login))
    }

    /// Whether a deployment is the one that this world serves, or may be any.
    pub(crate) fn is_ours(&self, deployment: &str) -> bool {
        self.deployment.as_deref().is_none_or(|ours| ours == deployment)
    }

    pub(crate) fn zone(&self, name: &str) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.name == name)
    }
}

fn default_quotas() -> BTreeMap<String, f64> {
    [
        ("CPUS", 2400.0),
        ("IN_USE_ADDRESSES", 600.0),
        ("INSTANCES", 2400.0),
        ("NVIDIA_T4_GPUS", 600.0),
        ("PREEMPTIBLE_CPUS", 2400.0),
        ("PREEMPTIBLE_NVIDIA_T4_GPUS", 600.0),
    ]
    .map(|(metric, limit)| (metric.to_owned(), limit))
    .into()
}

fn default_templates() -> BTreeMap<String, InstanceTemplate> {
    [("linux-gpu-runner", "linux"), ("windows-gpu-runner", "windows")]
        .map(|(name, os)| (name.to_owned(), InstanceTemplate { properties: gpu_properties(os) }))
        .into()
}

/// A T4 machine with a boot disk, metadata and labels of its own that a create must keep.
fn gpu_properties(os: &str) -> Value {
    let script = if os == "windows" { "windows-startup-script-ps1" } else { "startup-script" };
    json!({
        "machineType": "n1-standard-4",
        "labels": { "team": "graphics", "os": os },
        "metadata": { "kind": "compute#metadata", "fingerprint": "Zm9v", "items": [
            { "key": script, "value": "start the runner with the JIT configuration from the metadata" },
            { "key": "serial-port-logging-enable", "value": "true" },
        ] },
        "tags": { "items": ["runner"] },
        "canIpForward": false,
        "disks": [{
            "kind": "compute#attachedDisk", "type": "PERSISTENT", "mode": "READ_WRITE", "boot": true,
            "autoDelete": true, "deviceName": "boot", "index": 0,
            "initializeParams": {
                "sourceImage": format!("projects/slang-runners/global/images/family/{os}-gpu-runner"),
                "diskSizeGb": "100", "diskType": "pd-ssd",
            },
        }],
        "networkInterfaces": [{
            "kind": "compute#networkInterface", "name": "nic0", "network": "global/networks/default",
            "accessConfigs": [{ "kind": "compute#accessConfig", "type": "ONE_TO_ONE_NAT", "name": "External NAT" }],
        }],
        "scheduling": {
            "onHostMaintenance": "TERMINATE", "automaticRestart": false, "preemptible": false,
            "provisioningModel": "STANDARD",
        },
        "guestAccelerators": [{ "acceleratorType": "nvidia-tesla-t4", "acceleratorCount": 1 }],
        "serviceAccounts": [],
    })
}

//! What goes wrong, settable at any time and decided from the world's seed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::rng::Rng;

/// The endpoints by name, as counters and faults know them.
pub const ENDPOINTS: &[&str] = &[
    "gcp.accelerator_type",
    "gcp.accelerator_types",
    "gcp.aggregated_instances",
    "gcp.delete",
    "gcp.insert",
    "gcp.instance",
    "gcp.instances",
    "gcp.machine_type",
    "gcp.operation",
    "gcp.project",
    "gcp.region",
    "gcp.regions",
    "gcp.set_labels",
    "gcp.set_metadata",
    "gcp.start",
    "gcp.stop",
    "gcp.template",
    "gcp.templates",
    "gcp.test_permissions",
    "gcp.token",
    "gcp.wait",
    "gcp.zone",
    "gcp.zones",
    "github.access_token",
    "github.app",
    "github.attempt_jobs",
    "github.cancel_run",
    "github.create_check_run",
    "github.delete_runner",
    "github.deliveries",
    "github.delivery",
    "github.find_installation",
    "github.hook",
    "github.hook_config",
    "github.hooks",
    "github.installation",
    "github.installation_repositories",
    "github.installations",
    "github.jitconfig",
    "github.job",
    "github.manifest_conversion",
    "github.meta",
    "github.org_repositories",
    "github.rate_limit",
    "github.redeliver",
    "github.registration_token",
    "github.repository",
    "github.run",
    "github.run_jobs",
    "github.runner",
    "github.runner_group",
    "github.runner_group_repositories",
    "github.runner_groups",
    "github.runners",
    "github.runs",
    "github.set_hook_config",
    "github.update_check_run",
    "proxmox.clone",
    "proxmox.config",
    "proxmox.delete",
    "proxmox.file_read",
    "proxmox.file_write",
    "proxmox.list",
    "proxmox.nextid",
    "proxmox.nodes",
    "proxmox.permissions",
    "proxmox.ping",
    "proxmox.resources",
    "proxmox.set_config",
    "proxmox.shutdown",
    "proxmox.start",
    "proxmox.status",
    "proxmox.stop",
    "proxmox.storage",
    "proxmox.task",
    "proxmox.task_log",
    "proxmox.version",
];

/// How one API call goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status and an error's body; the call has no effect.
    ErrorBefore(u16),
    /// The call takes effect, and the caller is told this status.
    ErrorAfter(u16),
    /// The connection closes without an answer; the call has no effect.
    ClosedBefore,
    /// The call takes effect, and the connection closes without an answer.
    ClosedAfter,
    /// 403 or 429 with a `retry-after`; the call has no effect.
    Limited {
        /// 403 or 429.
        status: u16,
        /// The header's value.
        retry_after: Duration,
    },
    /// The call takes effect; status as usual, a body that is no JSON.
    Garbage,
    /// The call takes effect at once, its answer comes this much later.
    Slow(Duration),
    /// The call has no effect and is never answered.
    HangsBefore,
    /// The call takes effect and is never answered.
    HangsAfter,
}

/// How often something strikes: by chance, or the next so many times.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Chance {
    /// 0.0 never … 1.0 always.
    pub rate: f64,
    /// This many times for certain, first.
    pub next: u32,
    /// How often it has struck.
    pub struck: u64,
}

impl Chance {
    /// With this probability each time.
    pub fn rate(rate: f64) -> Self {
        Self { rate, ..Self::default() }
    }

    /// The next `times` times.
    pub fn next(times: u32) -> Self {
        Self { next: times, ..Self::default() }
    }

    /// Whether it strikes now.
    pub(crate) fn strikes(&mut self, rng: &mut Rng) -> bool {
        let is_certain = self.next > 0;
        self.next = self.next.saturating_sub(1);
        let strikes = is_certain || (self.rate > 0.0 && rng.fraction() < self.rate);
        self.struck += u64::from(strikes);
        strikes
    }
}

/// What goes wrong with webhook deliveries.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryFaults {
    /// Attempted in vain: listed as failed, GitHub does not repeat it.
    pub lost: Chance,
    /// Never attempted, and in no list.
    pub never: Chance,
    /// Sent twice: the same GUID, two delivery ids.
    pub duplicated: Chance,
    /// Sent late, by up to `delay_max`.
    pub delayed: Chance,
    /// The longest delay of a delayed delivery.
    pub delay_max: Duration,
    /// Overtaken by later ones: held back by up to `reorder_max`.
    pub reordered: Chance,
    /// The longest time that a reordered delivery is held back.
    pub reorder_max: Duration,
}

impl Default for DeliveryFaults {
    fn default() -> Self {
        let never = Chance::default();
        Self {
            lost: never,
            never,
            duplicated: never,
            delayed: never,
            delay_max: Duration::from_secs(60),
            reordered: never,
            reorder_max: Duration::from_secs(5),
        }
    }
}

/// What goes wrong with guests and their runners.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GuestFaults {
    /// The VM runs, its guest never comes up.
    pub never_boots: Chance,
    /// The guest does not power off after its job.
    pub hangs_after_job: Chance,
    /// GitHub drops the runner when it has been idle for `dropped_after`.
    pub runner_dropped: Chance,
    /// How long a dropped runner was idle.
    pub dropped_after: Duration,
}

/// What goes wrong in the Proxmox VE cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LabFaults {
    /// The lock of a clone's storage is not to be had: its task fails.
    pub storage_locked: Chance,
    /// Just before a clone would be accepted, a stranger's VM takes its id: the call is refused.
    pub stranger_takes: Chance,
    /// The task of a clone never ends, and the new VM stays locked. When its node goes down and comes back, the task
    /// is dead, and the lock is still there.
    pub clone_hangs: Chance,
    /// The guest agent answers (and the guest boots) this much later.
    pub agent_delay: Option<Duration>,
    /// How long each clone takes, instead of what the timing says.
    pub clone_takes: Option<Duration>,
}

/// A zone without machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stockout {
    /// Until this time.
    Until(Timestamp),
    /// For the next so many inserts.
    Inserts(u32),
}

#[derive(Debug, Clone, Default)]
struct EndpointFaults {
    once: VecDeque<Fault>,
    rates: Vec<(f64, Fault)>,
}

/// All that can go wrong. Nothing does by default.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Of webhook deliveries.
    pub deliveries: DeliveryFaults,
    /// Of guests and runners.
    pub guests: GuestFaults,
    /// Of the Proxmox VE cluster.
    pub lab: LabFaults,
    endpoints: BTreeMap<String, EndpointFaults>,
    stockouts: BTreeMap<String, Stockout>,
}

impl Faults {
    /// The next call of `endpoint` goes wrong; several queue up. `endpoint` is one of [`ENDPOINTS`], such as
    /// `gcp.insert`, or all of an API's: `github.*`, `gcp.*`, `proxmox.*`.
    pub fn once(&mut self, endpoint: &str, fault: Fault) {
        debug_assert!(is_known(endpoint), "no endpoint {endpoint}");
        self.endpoints.entry(endpoint.to_owned()).or_default().once.push_back(fault);
    }

    /// Calls of `endpoint` go wrong with this probability; several faults add up. A rate of 0 removes it.
    pub fn rate(&mut self, endpoint: &str, rate: f64, fault: Fault) {
        debug_assert!(is_known(endpoint), "no endpoint {endpoint}");
        let rates = &mut self.endpoints.entry(endpoint.to_owned()).or_default().rates;
        rates.retain(|(_, each)| *each != fault);
        if rate > 0.0 {
            rates.push((rate, fault));
        }
    }

    /// A zone has no machines: inserts are accepted there, and their operations fail.
    pub fn stockout(&mut self, zone: &str, stockout: Stockout) {
        self.stockouts.insert(zone.to_owned(), stockout);
    }

    /// Everything works again.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What goes wrong with this call of `endpoint`, if anything.
    pub(crate) fn strike(&mut self, endpoint: &str, rng: &mut Rng) -> Option<Fault> {
        let (api, _) = endpoint.split_once('.').unwrap_or((endpoint, ""));
        let mut found = None;
        for name in [endpoint.to_owned(), format!("{api}.*")] {
            let Some(faults) = self.endpoints.get_mut(&name) else { continue };
            if found.is_none() {
                found = faults.once.pop_front();
            }
            for (rate, fault) in &faults.rates {
                if found.is_none() && rng.fraction() < *rate {
                    found = Some(fault.clone());
                }
            }
        }
        found
    }

    /// Whether a zone has no machine for an insert at `now`; this counts the insert.
    pub(crate) fn is_out_of_stock(&mut self, zone: &str, now: Timestamp) -> bool {
        match self.stockouts.get_mut(zone) {
            None | Some(Stockout::Inserts(0)) => false,
            Some(Stockout::Until(end)) => now < *end,
            Some(Stockout::Inserts(left)) => {
                *left -= 1;
                true
            }
        }
    }
}

fn is_known(endpoint: &str) -> bool {
    ENDPOINTS.contains(&endpoint) || ["github.*", "gcp.*", "proxmox.*"].contains(&endpoint)
}

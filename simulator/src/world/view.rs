//! What there is, as plain data: for displays and tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::World;
use super::github::runners::Scope;
use super::guest::Guest;
use super::history::Happening;
use super::ids::{DeliveryId, JobId, RunnerId, VmId};
use super::jobs::JobState;
use super::request::Api;
use super::timeline::after;

/// No VM takes less than this from being asked for to serving when all goes wrong that may.
const YOUNG: std::time::Duration = std::time::Duration::from_secs(120);

/// The world at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    /// All jobs there ever were, oldest first.
    pub jobs: Vec<JobView>,
    /// VMs that exist.
    pub vms: Vec<VmView>,
    /// VMs that are gone.
    pub gone_vms: Vec<VmView>,
    /// Registered runners.
    pub runners: Vec<RunnerView>,
    /// API calls by endpoint.
    pub calls: BTreeMap<String, u64>,
    /// Webhook deliveries that are still to be sent, or to be answered.
    pub deliveries_pending: usize,
    /// All that happened, oldest first.
    pub history: Vec<Happening>,
}

/// A workflow job.
#[derive(Debug, Clone, Serialize)]
pub struct JobView {
    /// GitHub's id.
    pub id: JobId,
    /// `owner/name`.
    pub repository: String,
    /// `runs-on`.
    pub labels: Vec<String>,
    /// When it was queued first.
    pub created: Timestamp,
    /// Where it stands, and on whom.
    pub state: JobState,
}

/// A VM.
#[derive(Debug, Clone, Serialize)]
pub struct VmView {
    /// Its id, which no other VM ever has. At Compute Engine, the instance's.
    pub id: VmId,
    /// Its name.
    pub name: String,
    /// Its zone; at Proxmox VE, the node that its configuration is on.
    pub zone: String,
    /// Whose VM it is.
    pub provider: Api,
    /// Proxmox VE's id, which is given to other VMs after it.
    pub vmid: Option<u32>,
    /// `PROVISIONING`, `STAGING`, `RUNNING`, `STOPPING` or `TERMINATED`; at Proxmox VE the lock, if there is one
    /// (`clone`, `destroyed`), else `starting`, `running` or `stopped`.
    pub status: &'static str,
    /// Its labels; at Proxmox VE the marks in its description.
    pub labels: BTreeMap<String, String>,
    /// When its insert or clone was accepted.
    pub created: Timestamp,
    /// When it was gone.
    pub gone: Option<Timestamp>,
    /// The runner that its guest started.
    pub runner: Option<RunnerId>,
}

/// A node of the Proxmox VE cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub online: bool,
    /// Its memory.
    pub memory_bytes: u64,
    /// What it takes itself, and its VMs that are on or being started.
    pub held_bytes: u64,
}

/// A registered runner.
#[derive(Debug, Clone, Serialize)]
pub struct RunnerView {
    /// GitHub's id.
    pub id: RunnerId,
    /// Its name.
    pub name: String,
    /// Where it is registered.
    pub scope: Scope,
    /// Whether it runs a job.
    pub busy: bool,
    /// Whether GitHub shows it as online.
    pub online: bool,
}

/// A check run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckRunView {
    /// GitHub's id.
    pub id: u64,
    /// `owner/name`.
    pub repository: String,
    /// The commit.
    pub head_sha: String,
    /// Its name.
    pub name: String,
    /// What its maker calls it.
    pub external_id: String,
    /// Where its details are, where its maker said so.
    pub details_url: Option<String>,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// How it ended.
    pub conclusion: Option<String>,
    /// What it says in one line,
    pub title: String,
    /// and in more.
    pub summary: String,
    /// How often it was written, its making included.
    pub writes: u32,
}

/// One sending of a webhook.
#[derive(Debug, Clone, Serialize)]
pub struct DeliveryView {
    /// Its own id.
    pub id: DeliveryId,
    /// `X-GitHub-Delivery`, the same for all sendings of one event.
    pub guid: String,
    /// The payload's `action`.
    pub action: &'static str,
    /// The job it tells of.
    pub job: JobId,
    /// Whether it was asked for again.
    pub redelivery: bool,
    /// When it was sent, or is to be.
    pub sent: Timestamp,
    /// What it was answered with; 502 and 504 stand for no answer. None while it is under way.
    pub status: Option<u16>,
}

impl World {
    /// Everything, as it is now.
    pub fn view(&self) -> View {
        View {
            jobs: self.jobs(),
            vms: self.vms(),
            gone_vms: self.gone_vms(),
            runners: self.runners(),
            calls: self.calls.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            deliveries_pending: self.deliveries_pending(),
            history: self.history.clone(),
        }
    }

    /// All jobs there ever were, oldest first.
    pub fn jobs(&self) -> Vec<JobView> {
        let view = |job: &super::jobs::Job| JobView {
            id: job.id,
            repository: job.spec.repository.clone(),
            labels: job.spec.labels.clone(),
            created: job.created,
            state: job.state.clone(),
        };
        self.github.jobs.values().map(view).collect()
    }

    /// Where a job stands.
    pub fn job_state(&self, id: JobId) -> Option<&JobState> {
        self.github.jobs.get(&id).map(|job| &job.state)
    }

    /// VMs that exist, oldest first. The lab's templates are not among them.
    pub fn vms(&self) -> Vec<VmView> {
        let of_gcp = self.gcp.vms.values().map(|vm| vm.view(None));
        let of_lab = self.proxmox.made_vms().map(|vm| vm.view(None));
        let mut all: Vec<VmView> = of_gcp.chain(of_lab).collect();
        all.sort_by_key(|vm| vm.id);
        all
    }

    /// The nodes of the Proxmox VE cluster, as they truly are, whatever `pvestatd` says.
    pub fn lab_nodes(&self) -> Vec<NodeView> {
        let view = |node: &super::lab::Node| NodeView {
            name: node.name.clone(),
            online: self.proxmox.is_online(&node.name),
            memory_bytes: node.memory_bytes,
            held_bytes: self.held_memory(&node.name, super::proxmox::vm::LabVm::holds_memory),
        };
        self.settings.proxmox.nodes.iter().map(view).collect()
    }

    fn gone_vms(&self) -> Vec<VmView> {
        let mut all: Vec<VmView> = self.gcp.gone.iter().chain(&self.proxmox.gone).cloned().collect();
        all.sort_by_key(|vm| vm.gone);
        all
    }

    /// Whether a VM's runner is connected to GitHub, with a job or waiting for one.
    pub fn is_serving(&self, id: VmId) -> bool {
        let Some(inside) = self.inside(id).filter(|inside| inside.guest == Guest::Serving) else {
            return false;
        };
        let runner = inside.runner.and_then(|runner| self.github.runners.get(&runner));
        runner.is_some_and(|runner| runner.connected)
    }

    /// Whether a VM is of use, for all that can be seen from here: it serves, or is on its best way there and not older
    /// than two minutes. Its own end has not come.
    pub fn is_useful(&self, id: VmId, now: Timestamp) -> bool {
        let gcp = self.gcp.vms.get(&id);
        let lab = self.proxmox.vms.get(&id);
        let of_gcp = gcp.map(|vm| (vm.created, vm.expires, vm.holds_machine() && !vm.deleting));
        let of_lab = lab.map(|vm| (vm.created, vm.expires, vm.is_running()));
        let Some((created, expires, is_on)) = of_gcp.or(of_lab) else { return false };
        if !is_on || expires.is_some_and(|end| end <= now) {
            return false;
        }
        match self.inside(id).map(|inside| inside.guest) {
            Some(Guest::Serving) => self.is_serving(id),
            Some(Guest::Registering(runner)) => {
                self.github.runners.contains_key(&runner) && now < after(created, YOUNG)
            }
            Some(Guest::Booting | Guest::Unconfigured) => now < after(created, YOUNG),
            Some(Guest::Down | Guest::Leaving) | None => false,
        }
    }

    /// Registered runners, oldest first.
    pub fn runners(&self) -> Vec<RunnerView> {
        let view = |runner: &super::github::runners::Runner| RunnerView {
            id: runner.id,
            name: runner.name.clone(),
            scope: runner.scope.clone(),
            busy: runner.job.is_some(),
            online: runner.online,
        };
        self.github.runners.values().map(view).collect()
    }

    /// All deliveries there ever were, oldest first.
    pub fn deliveries(&self) -> Vec<DeliveryView> {
        self.github.deliveries.values().map(super::github::deliveries::Record::view).collect()
    }

    /// Webhook deliveries that are still to be sent, or to be answered.
    pub fn deliveries_pending(&self) -> usize {
        self.github.outbox.len() + self.github.unanswered.len()
    }

    /// Whether no job is under way, and no VM, no runner and no delivery is left.
    pub fn is_quiet(&self) -> bool {
        let ended = self.github.jobs.values().all(|job| matches!(job.state, JobState::Ended { .. }));
        let no_vm = self.gcp.vms.is_empty() && self.proxmox.made_vms().next().is_none();
        ended && no_vm && self.github.runners.is_empty() && self.deliveries_pending() == 0
    }
}

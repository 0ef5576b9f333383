//! The world and the ledger at one moment, as far as the live view shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::slot::{Phase, PhaseKind};
use mayfly_core::sweep::PoolLedger;
use simulator::{Api, Conclusion, JobState, VmView, World};

use super::stage::MAX_RUNNERS;
use super::story::Story;

/// One moment.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// What everything followed from.
    pub seed: u64,
    /// Since the beginning.
    pub elapsed: Duration,
    /// How many jobs there will be.
    pub jobs_planned: usize,
    /// Where the status page is, and what shows it.
    pub page: String,
    /// The pools.
    pub pools: Vec<PoolScene>,
    /// The VMs, oldest first.
    pub vms: Vec<VmScene>,
    /// How many VMs there were that are gone, without those whose zone had no machine for them.
    pub vms_gone: usize,
    /// The jobs, oldest first.
    pub jobs: Vec<JobScene>,
}

/// A pool.
#[derive(Debug, Clone)]
pub struct PoolScene {
    /// Its name.
    pub name: String,
    /// How many slots it has.
    pub max: usize,
    /// How many of them are taken, by phase.
    pub slots: BTreeMap<PhaseKind, usize>,
    /// How many jobs wait for one.
    pub waiting: usize,
}

/// A VM.
#[derive(Debug, Clone)]
pub struct VmScene {
    /// Its short name.
    pub name: String,
    /// Where it is: its zone, or its node and id.
    pub place: String,
    /// Its provider's word for how far it is.
    pub status: &'static str,
    /// Since it was asked for.
    pub age: Duration,
    /// What goes on in it.
    pub doing: String,
}

/// A job.
#[derive(Debug, Clone)]
pub struct JobScene {
    /// `#1`
    pub number: String,
    /// How far it is.
    pub state: JobStage,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobStage {
    /// Waiting for a runner.
    Queued,
    /// On a runner.
    Running,
    /// Over, as it was meant to be.
    Served,
    /// Over before it started.
    Cancelled,
    /// Over, badly.
    Failed,
}

impl JobStage {
    /// Of a job as GitHub has it.
    pub fn of(state: &JobState) -> Self {
        match state {
            JobState::Waiting | JobState::Queued => Self::Queued,
            JobState::Running { .. } => Self::Running,
            JobState::Ended { conclusion: Conclusion::Success, .. } => Self::Served,
            JobState::Ended { conclusion: Conclusion::Cancelled, ran: None, .. } => Self::Cancelled,
            JobState::Ended { .. } => Self::Failed,
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Served => "served",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

impl Scene {
    /// How many jobs are that far.
    pub fn count(&self, stage: JobStage) -> usize {
        self.jobs.iter().filter(|job| job.state == stage).count()
    }
}

/// The pools as the table has them.
pub fn pools(ledgers: &[PoolLedger]) -> Vec<PoolScene> {
    let pool = |ledger: &PoolLedger| {
        let mut slots = BTreeMap::new();
        for slot in &ledger.slots {
            *slots.entry(slot.phase.kind()).or_default() += 1;
        }
        PoolScene { name: ledger.pool.to_string(), max: MAX_RUNNERS, slots, waiting: ledger.waiting.len() }
    };
    ledgers.iter().map(pool).collect()
}

/// The VMs, with what goes on in them.
pub fn vms(world: &World, now: Timestamp, ledgers: &[PoolLedger], story: &Story) -> Vec<VmScene> {
    let jobs = world.jobs();
    let runners = world.runners();
    let slots = ledgers.iter().flat_map(|ledger| &ledger.slots);
    let creating: BTreeSet<&str> = slots
        .filter(|slot| matches!(slot.phase, Phase::Creating { .. }))
        .map(|slot| slot.runner.as_str())
        .collect();
    let doing = |vm: &VmView| {
        let runs = jobs
            .iter()
            .find(|job| matches!(&job.state, JobState::Running { runner, .. } if runner.name == vm.name));
        let online = runners.iter().any(|runner| runner.name == vm.name && runner.online);
        let is_creating = creating.contains(vm.name.as_str());
        match (vm.status, runs) {
            _ if is_strangers(vm) => "is a stranger's: left alone".to_owned(),
            ("STOPPING" | "destroyed", _) => "is being deleted".to_owned(),
            ("clone", _) => "creating: cloning".to_owned(),
            ("stopped" | "starting", _) if is_creating => "creating: starting".to_owned(),
            ("running", None) if is_creating => "creating: waiting for the guest agent".to_owned(),
            ("TERMINATED" | "stopped", _) => "is off".to_owned(),
            (_, Some(job)) => format!("runs job {}", story.number(job.id)),
            ("RUNNING" | "running", None) if online => "waits for a job".to_owned(),
            ("RUNNING" | "running", None) if vm.runner.is_some() => "has done its job".to_owned(),
            ("running", None) => "starts its runner".to_owned(),
            ("RUNNING", None) => "boots".to_owned(),
            (_, None) => "is being made".to_owned(),
        }
    };
    let scene = |vm: VmView| VmScene {
        doing: doing(&vm),
        age: Duration::try_from(now.duration_since(vm.created)).unwrap_or_default(),
        name: story.plainly(&vm.name),
        place: place(&vm),
        status: vm.status,
    };
    world.vms().into_iter().map(scene).collect()
}

/// Where a VM is: its zone, or its node and id.
pub fn place(vm: &VmView) -> String {
    vm.vmid.map_or_else(|| vm.zone.clone(), |vmid| format!("{}/{vmid}", vm.zone))
}

/// Whether a VM is a person's: it has none of Mayfly's marks. Mayfly making one without them is an invariant broken.
pub fn is_strangers(vm: &VmView) -> bool {
    vm.provider == Api::Proxmox && !vm.labels.contains_key("mayfly-deployment")
}

/// Whether all that is of Mayfly's business is over. What is a stranger's stays.
pub fn is_quiet(world: &World) -> bool {
    let ended = world.jobs().iter().all(|job| matches!(job.state, JobState::Ended { .. }));
    let is_empty = world.vms().iter().all(is_strangers) && world.runners().is_empty();
    ended && is_empty && world.deliveries_pending() == 0
}

/// The jobs.
pub fn jobs(world: &World, story: &Story) -> Vec<JobScene> {
    let scene =
        |job: simulator::JobView| JobScene { number: story.number(job.id), state: JobStage::of(&job.state) };
    world.jobs().into_iter().map(scene).collect()
}

/// Whether a VM that is gone ever was whole: one whose zone had no machine vanishes while it is being prepared, and one
/// whose clone failed while it is being cloned.
pub fn was_made(gone: &VmView) -> bool {
    matches!(gone.status, "STOPPING" | "TERMINATED" | "destroyed")
}

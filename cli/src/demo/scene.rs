//! The world and the ledger at one moment, as far as the live view shows them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_core::slot::PhaseKind;
use mayfly_core::sweep::PoolLedger;
use simulator::{Conclusion, JobState, World};

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
    /// Where it is.
    pub zone: String,
    /// Compute Engine's word for how far it is.
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
pub fn vms(world: &World, now: Timestamp, story: &Story) -> Vec<VmScene> {
    let jobs = world.jobs();
    let runners = world.runners();
    let doing = |vm: &simulator::VmView| {
        let runs = jobs
            .iter()
            .find(|job| matches!(&job.state, JobState::Running { runner, .. } if runner.name == vm.name));
        let online = runners.iter().any(|runner| runner.name == vm.name && runner.online);
        match (vm.status, runs) {
            ("STOPPING", _) => "is being deleted".to_owned(),
            ("TERMINATED", _) => "is off".to_owned(),
            (_, Some(job)) => format!("runs job {}", story.number(job.id)),
            ("RUNNING", None) if online => "waits for a job".to_owned(),
            ("RUNNING", None) if vm.runner.is_some() => "has done its job".to_owned(),
            ("RUNNING", None) => "boots".to_owned(),
            (_, None) => "is being made".to_owned(),
        }
    };
    let scene = |vm: simulator::VmView| VmScene {
        doing: doing(&vm),
        age: Duration::try_from(now.duration_since(vm.created)).unwrap_or_default(),
        name: story.plainly(&vm.name),
        zone: vm.zone,
        status: vm.status,
    };
    world.vms().into_iter().map(scene).collect()
}

/// The jobs.
pub fn jobs(world: &World, story: &Story) -> Vec<JobScene> {
    let scene =
        |job: simulator::JobView| JobScene { number: story.number(job.id), state: JobStage::of(&job.state) };
    world.jobs().into_iter().map(scene).collect()
}

/// Whether a VM that is gone ever had a machine: one whose zone had none vanishes while it is being prepared.
pub fn was_made(gone: &simulator::VmView) -> bool {
    matches!(gone.status, "STOPPING" | "TERMINATED")
}

//! Small worlds for tests.

use std::num::NonZeroU16;
use std::time::Duration;

use jiff::Timestamp;

use crate::event::{Change, JobEvent};
use crate::ids::{
    Account, Deployment, JobId, PoolName, ProviderName, Repository, RunnerId, RunnerName, SlotIndex, Zone,
};
use crate::job::Waiting;
use crate::labels::Labels;
use crate::policy::{GcpPlacement, Placement, PlacementKind, Platform, Policy, Pool, Scope, Timing};
use crate::slot::{Machine, Phase, Purpose, Slot, VmPlace};
use crate::sweep::{Vm, VmState};

/// A moment, in seconds from some beginning.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub fn policy(pools: Vec<Pool>) -> Policy {
    Policy { deployment: deployment(), pools, timing: Timing::default() }
}

pub fn deployment() -> Deployment {
    Deployment::new("test").unwrap()
}

pub fn pool(name: &str, labels: &[&str]) -> Pool {
    Pool {
        name: PoolName::new(name).unwrap(),
        labels: Labels::new(labels.iter().copied()),
        scope: Scope::Organization(Account::new("shader-slang").unwrap()),
        repositories: Vec::new(),
        runner_group: "default".into(),
        platform: Platform::Linux,
        max_runners: NonZeroU16::new(10).unwrap(),
        min_runners: 0,
        boot_timeout: Duration::from_secs(600),
        idle_timeout: Duration::from_secs(600),
        max_lifetime: Duration::from_secs(6 * 3600),
        placements: vec![Placement {
            provider: provider(),
            kind: PlacementKind::Gcp(GcpPlacement {
                instance_template: "linux-gpu-runner".into(),
                zones: vec![Zone::new("us-east1-c").unwrap()],
                gpu_type: None,
                spot: false,
            }),
        }],
    }
}

pub fn provider() -> ProviderName {
    ProviderName::new("gcp").unwrap()
}

pub fn event(job: u64, labels: &[&str]) -> JobEvent {
    JobEvent {
        change: Change::Queued,
        job: JobId(job),
        name: "build".into(),
        repository: Repository::new("shader-slang/slang").unwrap(),
        labels: Labels::new(labels.iter().copied()),
        created_at: None,
        installation: None,
        enterprise: None,
    }
}

pub fn waiting(job: u64, queued_at: i64) -> Waiting {
    Waiting {
        queued_at: at(queued_at),
        job: JobId(job),
        repository: Repository::new("shader-slang/slang").unwrap(),
        installation: None,
    }
}

pub fn runner(index: u16) -> RunnerName {
    RunnerName::new(&deployment(), &PoolName::new("linux").unwrap(), SlotIndex(index), u64::from(index))
}

/// A slot taken at 0, for a job.
pub fn slot(index: u16, job: u64, phase: Phase) -> Slot {
    Slot {
        runner: runner(index),
        purpose: Purpose::Job(JobId(job)),
        displaced: None,
        reserved_at: at(0),
        phase,
    }
}

pub fn machine() -> Machine {
    Machine { vm: VmPlace { provider: provider(), at: "us-east1-c".into() }, runner_id: RunnerId(77) }
}

pub fn booting() -> Phase {
    Phase::Booting { machine: machine(), since: at(0) }
}

pub fn idle() -> Phase {
    Phase::Idle { machine: machine(), since: at(0) }
}

pub fn busy() -> Phase {
    Phase::Busy { machine: Some(machine()), since: at(0) }
}

pub fn deleting() -> Phase {
    Phase::Deleting { machine: Some(machine()), since: at(0), watched_until: None }
}

/// The VM of a slot, made at 0.
pub fn vm(index: u16, state: VmState) -> Vm {
    Vm { name: runner(index).as_str().to_owned(), place: machine().vm, created_at: Some(at(0)), state }
}

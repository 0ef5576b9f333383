//! Small worlds for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::time::Duration;

use jiff::Timestamp;

use crate::audience::{Audience, Visibility};
use crate::event::{Change, JobEvent};
use crate::gate::PoolState;
use crate::ids::{
    Account, CheckRunId, Commit, Deployment, JobId, PoolName, ProviderName, Repository, RunnerId, RunnerName,
    SlotIndex, Zone,
};
use crate::job::{Job, JobState, Waiting};
use crate::labels::Labels;
use crate::making::MakingStep;
use crate::notice::{Cause, Notice, Standing, check_name};
use crate::policy::{
    GcpPlacement, Placement, PlacementKind, Platform, Policy, Pool, ProxmoxPlacement, Scope, Timing,
};
use crate::slot::{Machine, Phase, Purpose, Slot, VmPlace, Way};
use crate::sweep::{Action, Next, Observed, Plan, PoolLedger, SeenRunner, Vm, VmState, Voice, World, plan};

/// A moment, in seconds from some beginning.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub fn policy(pools: Vec<Pool>) -> Policy {
    Policy { deployment: deployment(), pools, timing: Timing::default(), waiting_after: None }
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
        audience: Audience::default(),
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
            price: None,
        }],
    }
}

/// The pool `linux` with a placement that makes VMs in steps.
pub fn lab_pool() -> Pool {
    let template = ProxmoxPlacement { template: 8000, full_clone: false, storage: None, pool: None };
    let placements =
        vec![Placement { provider: provider(), kind: PlacementKind::Proxmox(template), price: None }];
    Pool { placements, ..pool("linux", &["Linux"]) }
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
        visibility: Some(Visibility::Private),
        run: None,
        labels: Labels::new(labels.iter().copied()),
        created_at: None,
        started_at: None,
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
        unseen_run: None,
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
        way: Way::default(),
        phase,
    }
}

pub fn machine() -> Machine {
    Machine { vm: VmPlace { provider: provider(), at: "us-east1-c".into() }, runner_id: Some(RunnerId(77)) }
}

/// Made in steps, leased until then.
pub fn creating(step: MakingStep, leased_until: i64) -> Phase {
    let machine = Machine { runner_id: None, ..machine() };
    Phase::Creating { machine, step, leased_until: at(leased_until) }
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
    let (name, pool) = (runner(index).as_str().to_owned(), PoolName::new("linux").unwrap());
    Vm { name, pool, place: machine().vm, created_at: Some(at(0)), state }
}

/// Long after everything in the fixtures happened.
pub const LATER: i64 = 10_000;

pub fn scope() -> Scope {
    pool("linux", &[]).scope
}

/// The pool `linux` at [`LATER`], with its provider's VMs, and GitHub's runners as they should be: those of booting slots
/// offline, of idle ones online, of busy ones busy.
pub fn world(slots: Vec<Slot>, waiting: Vec<Waiting>, vms: Vec<Vm>) -> World {
    let runners = slots.iter().filter_map(|slot| match slot.phase {
        Phase::Reserved | Phase::Creating { .. } | Phase::Deleting { .. } => None,
        Phase::Booting { .. } => Some(seen(&slot.runner, false, false)),
        Phase::Idle { .. } => Some(seen(&slot.runner, true, false)),
        Phase::Busy { .. } => Some(seen(&slot.runner, true, true)),
    });
    let runners = runners.collect();
    let state = PoolState { limit: Some(10), ..PoolState::default() };
    let ledger = PoolLedger { slots, waiting, state, ..PoolLedger::empty(PoolName::new("linux").unwrap()) };
    World {
        now: at(LATER),
        pools: vec![ledger],
        removed: Vec::new(),
        vms: BTreeMap::from([(provider(), Observed::Known { at: at(LATER), value: vms })]),
        unseen: BTreeSet::new(),
        room: BTreeMap::new(),
        runners: BTreeMap::from([(scope(), Observed::Known { at: at(LATER), value: runners })]),
        jobs: BTreeMap::new(),
        told: Vec::new(),
        deliveries: BTreeMap::new(),
        voice: Voice::default(),
    }
}

pub fn seen(name: &RunnerName, online: bool, busy: bool) -> SeenRunner {
    SeenRunner { id: RunnerId(77), name: name.as_str().to_owned(), online, busy }
}

pub fn unknown<T>() -> Observed<T> {
    Observed::Unknown { why: "503".into() }
}

/// GitHub lists these runners, and no others.
pub fn with_runners(mut world: World, runners: Vec<SeenRunner>) -> World {
    world.runners.insert(scope(), Observed::Known { at: world.now, value: runners });
    world
}

/// A job of that number was said to wait, at 0, since its pool was full.
pub fn notice(job: u64) -> Notice {
    let Waiting { queued_at, job, repository, installation, .. } = waiting(job, 0);
    let (commit, name) = (Commit::new("0123456789".repeat(4)).unwrap(), check_name(job, "build"));
    let standing = Standing::Made(CheckRunId(900 + job.0));
    let (cause, said_at) = (Cause::Full, at(0));
    Notice { job, repository, installation, queued_at, commit, name, standing, cause, said_at }
}

/// The table has this of a job: a record, or none.
pub fn with_job(mut world: World, id: u64, state: Option<JobState>) -> World {
    world.jobs.insert(JobId(id), state.map(|state| job(id, state)));
    world
}

pub fn with_told(mut world: World, id: u64, change: Change) -> World {
    world.told.push(JobEvent { change, ..event(id, &["Linux"]) });
    world
}

/// A job of the pool `linux`, queued at 0.
pub fn job(id: u64, state: JobState) -> Job {
    let Waiting { queued_at, repository, installation, unseen_run, .. } = waiting(id, 0);
    let pool = PoolName::new("linux").unwrap();
    Job { id: JobId(id), pool, repository, queued_at, installation, unseen_run, state, timeline: Vec::new() }
}

pub fn assigned(index: u16) -> Option<JobState> {
    Some(JobState::Assigned { slot: SlotIndex(index) })
}

/// An idle slot that is spare since then, taken at 0.
pub fn spare(index: u16, since: i64) -> Slot {
    Slot { purpose: Purpose::Spare { since: at(since) }, ..slot(index, 0, idle()) }
}

pub fn running(indices: impl IntoIterator<Item = u16>) -> Vec<Vm> {
    indices.into_iter().map(|index| vm(index, VmState::Running)).collect()
}

pub fn retire(slot: &Slot) -> Action {
    Action::Retire { slot: slot.clone(), failed_boot: None }
}

pub fn release(slot: &Slot, next: Next) -> Action {
    Action::Release { slot: slot.clone(), next }
}

pub fn planned(world: &World) -> Plan {
    planned_with(pool("linux", &["Linux"]), world)
}

pub fn planned_with(pool: Pool, world: &World) -> Plan {
    plan(&policy(vec![pool]), world)
}

pub fn actions(world: &World) -> Vec<Action> {
    planned(world).steps.into_iter().map(|step| step.action).collect()
}

pub fn actions_with(pool: Pool, world: &World) -> Vec<Action> {
    planned_with(pool, world).steps.into_iter().map(|step| step.action).collect()
}

/// Why something was left alone.
pub fn left(world: &World, what: &str) -> Vec<&'static str> {
    planned(world).left_alone.into_iter().filter(|left| left.what == what).map(|left| left.why).collect()
}

//! What a job costs, counted: replies that are awaited one after the other, calls, and the table's units.

use std::fmt;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use mayfly_core::ids::{JobId, PoolName, ProviderName, Repository, RunnerId, RunnerName, SlotIndex};
use mayfly_core::job::{Job, JobState, Moment};
use mayfly_core::slot::{Purpose, Slot, SlotEvent, VmPlace};
use mayfly_service::store::{Claim, Moved, Take};
use mayfly_testkit::lambda::{EventKind, Fleet, Function, FunctionUrl};
use simulator::{HappeningKind, JobSpec, World};

use crate::Error;
use crate::calls::Calls;
use crate::rig::{Cloud, LABELS, PATIENCE, POOL, Programs, REPOSITORY, Rig, Shape, ZONE, marks};
use crate::sweeps::sweep;
use serde_json::json;

/// How full the pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    Empty,
    Half,
    /// With so many jobs waiting.
    Full(u16),
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::Half => f.write_str("half full"),
            Self::Full(waiting) => write!(f, "full, {waiting} jobs waiting"),
        }
    }
}

/// What one job costs, from its first event until its slot is free or the next job's.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    pub cloud: Cloud,
    pub max_runners: u16,
    pub fill: Fill,
    /// Replies awaited one after the other before the answer to its first event.
    pub before_answer: u128,
    /// … and before the create leaves; none where the job waits for a slot.
    pub before_create: Option<u128>,
    /// Of each of the jobs.
    pub calls: Vec<Calls>,
}

impl Cost {
    /// The middle one of the jobs: now and then an event overtakes another, or a look-up's time is over.
    pub fn middle(&self, part: fn(&Calls) -> f64) -> f64 {
        let mut all: Vec<f64> = self.calls.iter().map(part).collect();
        all.sort_unstable_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    }

    /// The average of all.
    pub fn average(&self) -> Calls {
        let mut sum = Calls::default();
        self.calls.iter().for_each(|calls| sum.add(1.0, calls));
        sum.each(self.calls.len())
    }
}

/// How many jobs, and of what they are the average.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    pub cloud: Cloud,
    pub max_runners: u16,
    pub fill: Fill,
    pub jobs: u16,
    /// How long each reply takes: long against what the machine needs for itself, so that replies can be counted by the time.
    pub reply: Duration,
}

/// So many jobs, after some that warm the functions up. Where a slot is given back by the next sweep, what that sweep costs more than
/// one that finds nothing is the job's.
pub async fn of_a_job(programs: &Programs, trial: Trial) -> Result<Cost, Error> {
    let Trial { cloud, max_runners, fill, jobs, reply } = trial;
    let is_full = matches!(fill, Fill::Full(_));
    let Ready { rig, fleet, sweeper, nothing, .. } = &make_ready(programs, trial).await?;
    let mut one_by_one = Vec::new();
    let (mut answers, mut creates) = (Vec::new(), Vec::new());
    for _ in 0..jobs {
        let mut calls = Calls::default();
        if !is_full {
            let left = sweep(sweeper).await?;
            if left["done"] != json!([]) {
                return Err(Error::Set(format!("a job left work for a second sweep: {left:#}")));
            }
            calls.add(-1.0, nothing);
        }
        let before = Calls::so_far(rig);
        rig.slow_down();
        let (answer, create) = life(rig, fleet, reply).await?;
        rig.speed_up();
        answers.push(answer);
        creates.extend(create.filter(|_| !is_full));
        if !is_full {
            sweep(sweeper).await?;
        }
        calls.add(1.0, &Calls::since(rig, &before));
        one_by_one.push(calls);
    }
    rig.is_sound()?;
    // Replies are counted by the time that passes, to which a busy machine only adds.
    let replies = |times: &[Duration]| Some(times.iter().min()?.as_millis() / reply.as_millis().max(1));
    Ok(Cost {
        cloud,
        max_runners,
        fill,
        before_answer: replies(&answers).unwrap_or_default(),
        before_create: replies(&creates),
        calls: one_by_one,
    })
}

/// What is ready for jobs.
struct Ready {
    rig: Rig,
    fleet: Fleet,
    /// GitHub delivers there as long as it is kept.
    _front: FunctionUrl,
    sweeper: Function,
    /// What a sweep costs that finds nothing.
    nothing: Calls,
}

async fn make_ready(programs: &Programs, trial: Trial) -> Result<Ready, Error> {
    let Trial { cloud, max_runners, fill, reply, .. } = trial;
    let mut shape = Shape { cloud, ..Shape::of(max_runners) }.replying_after(reply);
    // As out there, a VM takes longer than a reply, and a job does.
    for time in [
        &mut shape.timing.boot,
        &mut shape.timing.registration,
        &mut shape.timing.delete,
        &mut shape.timing.pve_delete,
    ] {
        *time = 4 * reply;
    }
    // A guest takes longer to power off than GitHub to tell that its job is over.
    shape.timing.power_off = 40 * reply;
    let rig = Rig::set(shape).await?;
    let (fleet, front) = rig.webhook(programs, 4)?;
    fleet.warm().await.map_err(Error::set)?;
    let sweeper = rig.sweeper(programs).await?;
    life(&rig, &fleet, reply).await?;
    sweep(&sweeper).await?;
    let is_full = matches!(fill, Fill::Full(_));
    let holder = if is_full { Some(holder(&rig).await?) } else { None };
    fill_up(&rig, max_runners, fill, holder.as_ref().map(|(_, slot)| *slot)).await?;
    if let Some((job, _)) = holder {
        let seen = rig.simulator.with(|world, _| world.history().len());
        rig.simulator.with(|world, now| world.cancel_job(now, job));
        vm_gone(&rig, &fleet, seen).await?;
    }
    // A full pool's jobs wake two environments, which make their connections.
    for _ in 0..2 {
        life(&rig, &fleet, reply).await?;
    }
    let mut nothing = Calls::default();
    if !is_full {
        for _ in 0..2 {
            sweep(&sweeper).await?;
        }
        let before = Calls::so_far(&rig);
        sweep(&sweeper).await?;
        nothing = Calls::since(&rig, &before);
    }
    Ok(Ready { rig, fleet, _front: front, sweeper, nothing })
}

/// A job that keeps the slot in which the others will come and go.
async fn holder(rig: &Rig) -> Result<(simulator::JobId, SlotIndex), Error> {
    let spec = JobSpec::new(REPOSITORY, &LABELS).lasting(Duration::from_secs(3600));
    let job = rig.simulator.with(|world, now| world.queue_job(now, spec));
    let runs = |world: &World| runner_of(world, job).is_some();
    rig.simulator.until(PATIENCE, runs).await.map_err(Error::set)?;
    let name = rig.simulator.with(|world, _| runner_of(world, job)).unwrap_or_default();
    let slot = rig.slot_of(&name).ok_or_else(|| Error::Set(format!("{name} is no runner of ours")))?;
    Ok((job, slot))
}

fn runner_of(world: &World, id: simulator::JobId) -> Option<String> {
    let job = world.jobs().into_iter().find(|job| job.id == id)?;
    if let simulator::JobState::Running { runner, .. } = job.state { Some(runner.name) } else { None }
}

/// Runners at work in half the slots, or all but one, and jobs that wait.
async fn fill_up(rig: &Rig, max_runners: u16, fill: Fill, but: Option<SlotIndex>) -> Result<(), Error> {
    let taken = match fill {
        Fill::Empty => 0,
        Fill::Half => max_runners / 2,
        Fill::Full(_) => max_runners,
    };
    let slots = (0..taken).filter(|slot| Some(SlotIndex(*slot)) != but);
    // Most of it is waiting for the table.
    stream::iter(slots).map(|slot| busy(rig, slot)).buffer_unordered(50).try_collect::<()>().await?;
    if let Fill::Full(waiting) = fill {
        for number in 0..waiting {
            let job = job(POOL, 50_000_000 + u64::from(number), JobState::Waiting)?;
            rig.ledger.enqueue(&job).await?;
        }
    }
    Ok(())
}

/// One job from beginning to end; how long it took to its answer, and to its create if it had one.
async fn life(rig: &Rig, fleet: &Fleet, reply: Duration) -> Result<(Duration, Option<Duration>), Error> {
    let seen = rig.simulator.with(|world, _| world.history().len());
    let invocations = invoked(fleet).len();
    rig.simulator.with(|world, now| {
        let spec = JobSpec::new(REPOSITORY, &LABELS).lasting(4 * reply);
        world.queue_job(now, spec)
    });
    vm_gone(rig, fleet, seen).await?;
    let first = invoked(fleet).into_iter().nth(invocations);
    let (begun, answered) = first
        .ok_or_else(|| Error::Set("the simulated GitHub delivered nothing to the function".to_owned()))?;
    let asked = rig.simulator.with(|world, _| {
        world.history()[seen..].iter().find(|each| each.kind == HappeningKind::VmAsked).map(|each| each.time)
    });
    let to_create = asked.and_then(|asked| Duration::try_from(asked.duration_since(begun)).ok());
    Ok((answered, to_create))
}

/// Waits until a VM is gone since then, and the functions have done all that followed.
async fn vm_gone(rig: &Rig, fleet: &Fleet, seen: usize) -> Result<(), Error> {
    let over = |world: &World| {
        let gone = world.history()[seen..].iter().any(|each| each.kind == HappeningKind::VmGone);
        gone && world.deliveries_pending() == 0
    };
    let waited = rig.simulator.until(PATIENCE, over).await;
    waited.map_err(|_| Error::Set(format!("the job was not over in time\n{}", fleet.log())))?;
    mayfly_testkit::wait_for("the functions to be done", PATIENCE, || fleet.idle()).await.map_err(Error::set)
}

/// Each invocation's beginning, and the time until its answer, in the order in which they began.
fn invoked(fleet: &Fleet) -> Vec<(Timestamp, Duration)> {
    let events = fleet.events();
    let mut invocations: Vec<_> = events
        .iter()
        .filter_map(|event| {
            let EventKind::Invoked { request_id } = &event.kind else { return None };
            let answer = events.iter().find(|other| {
                matches!(&other.kind, EventKind::Responded { request_id: answered } if answered == request_id)
            })?;
            let begun = Timestamp::try_from(event.time).ok()?;
            Some((begun, answer.at.duration_since(event.at)))
        })
        .collect();
    invocations.sort_unstable();
    invocations
}

/// A runner at work in the world, and in the table all that its events would have left there.
pub async fn busy(rig: &Rig, slot: u16) -> Result<(), Error> {
    let runner = rig.runner(slot)?;
    let spec = JobSpec::new(REPOSITORY, &LABELS).lasting(Duration::from_secs(3600));
    let marks = marks(runner.pool());
    let made = rig.simulator.with(|world, now| world.add_busy_vm(now, ZONE, runner.as_str(), &marks, spec));
    let made = made.ok_or_else(|| Error::Set(format!("the simulated cloud takes no VM {runner}")))?;
    record(rig, runner, JobId(made.job.0), RunnerId(made.runner.0)).await
}

async fn record(rig: &Rig, runner: RunnerName, id: JobId, runner_id: RunnerId) -> Result<(), Error> {
    let job = job(runner.pool().as_str(), id.0, JobState::Running { slot: Some(runner.slot()) })?;
    let now = Timestamp::now();
    let slot = Slot::reserved(runner.clone(), Purpose::Job(id), now);
    if rig.ledger.claim(&job, &Take::Free(slot)).await? != Claim::Taken {
        return Err(Error::Set(format!("slot {} is taken", runner.slot())));
    }
    let vm = VmPlace { provider: ProviderName::new("cloud").map_err(Error::set)?, at: ZONE.to_owned() };
    for event in [SlotEvent::Placed { vm, runner_id, registered_at: None }, SlotEvent::Started { job: id }] {
        if rig.ledger.slot_event(&runner, &event, now).await? == Moved::No {
            return Err(Error::Set(format!("slot {} did not take {event:?}", runner.slot())));
        }
    }
    Ok(())
}

fn job(pool: &str, id: u64, state: JobState) -> Result<Job, Error> {
    let now = Timestamp::now();
    Ok(Job {
        id: JobId(id),
        pool: PoolName::new(pool).map_err(Error::set)?,
        repository: Repository::new(REPOSITORY).map_err(Error::set)?,
        queued_at: now,
        installation: None,
        unseen_run: None,
        state,
        timeline: vec![Moment::new(now, "made for a measurement")],
    })
}

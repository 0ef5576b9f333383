//! A warm function: what each event takes, and what they leave in memory.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use mayfly_testkit::lambda::{End, Function};
use serde_json::Value;
use tokio::time::Instant;

use crate::Error;
use crate::measure::{cpu_of, percentile};
use crate::rig::{Programs, REPOSITORY, Rig, Shape};
use crate::start::queued;

/// What distinct events took.
#[derive(Debug, Clone, Copy)]
pub struct Warm {
    pub kind: Kind,
    pub pace: Pace,
    pub events: usize,
    /// From the event to its answer.
    pub p50: Duration,
    pub p99: Duration,
    /// How many came in a second.
    pub rate: f64,
    /// Processor time of each, the work after the answer included.
    pub cpu: Duration,
    /// The most memory resident.
    pub memory: u64,
}

/// Which events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Jobs of a pool: a slot is claimed, and a VM made after the answer.
    Ours,
    /// Jobs that no pool serves.
    Others,
    /// Nothing is done with them: the hello-world function.
    Nothing,
}

/// How fast they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The next one when all is done for the one before.
    OneByOne,
    /// At their time, or as soon as all is done for the one before; on one processor.
    FiftyASecond,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "jobs of a pool, with the work after the answer",
            Self::Others => "jobs that no pool serves",
            Self::Nothing => "requests to the hello-world function",
        })
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneByOne => "one after the other",
            Self::FiftyASecond => "50 a second at most, on one processor",
        })
    }
}

const APART: Duration = Duration::from_millis(20);
/// The first ones make the connections, and are not counted.
const WARM_UP: u64 = 50;

/// So many events to one environment of the webhook's function.
pub async fn warm(programs: &Programs, kind: Kind, pace: Pace, events: usize) -> Result<Warm, Error> {
    let mut shape = Shape::of(9_999);
    shape.timing.insert = Duration::from_millis(1);
    let rig = Rig::set(shape).await?;
    let program = if kind == Kind::Nothing { &programs.hello } else { &programs.webhook };
    let function = Function::start(rig.launch(program)).await.map_err(Error::set)?;
    for id in 0..WARM_UP {
        answer(&function, event(&rig, kind, id)).await?;
    }
    let pid = function.pid().ok_or_else(|| Error::Set("the function has gone".to_owned()))?;
    if pace == Pace::FiftyASecond {
        pin(pid)?;
    }
    let gone = || Error::Set("the function has gone".to_owned());
    let cpu_before = cpu_of(pid).ok_or_else(gone)?;
    let mut took = Vec::with_capacity(events);
    let begun = Instant::now();
    for number in 0..events as u64 {
        if pace == Pace::FiftyASecond {
            tokio::time::sleep_until(begun + APART * u32::try_from(number).unwrap_or(u32::MAX)).await;
        }
        took.push(answer(&function, event(&rig, kind, 1_000_000 + number)).await?);
    }
    let (cpu, lasted) = (cpu_of(pid).ok_or_else(gone)?.saturating_sub(cpu_before), begun.elapsed());
    if function.restart_count() > 0 {
        return Err(gone());
    }
    rig.is_sound()?;
    let made = rig.simulator.with(|world, _| world.calls_of("gcp.insert"));
    let wanted = if kind == Kind::Ours { WARM_UP + events as u64 } else { 0 };
    if made != wanted {
        return Err(Error::Set(format!("{made} VMs were asked for, and {wanted} were wanted")));
    }
    Ok(Warm {
        kind,
        pace,
        events,
        p50: percentile(&took, 50),
        p99: percentile(&took, 99),
        rate: events as f64 / lasted.as_secs_f64(),
        cpu: cpu / u32::try_from(events).unwrap_or(u32::MAX),
        memory: function.peak_memory_bytes().ok_or_else(gone)?,
    })
}

/// All its threads on the last of the processors that are there for us.
fn pin(pid: i32) -> Result<(), Error> {
    let ours = rustix::thread::sched_getaffinity(None).map_err(Error::set)?;
    let last = (0..rustix::thread::CpuSet::MAX_CPU).rev().find(|cpu| ours.is_set(*cpu));
    let mut only = rustix::thread::CpuSet::new();
    only.set(last.unwrap_or_default());
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))?;
    for task in tasks {
        let id: i32 = task?.file_name().to_string_lossy().parse().map_err(Error::set)?;
        rustix::thread::sched_setaffinity(rustix::thread::Pid::from_raw(id), &only).map_err(Error::set)?;
    }
    Ok(())
}

async fn answer(function: &Function, event: Value) -> Result<Duration, Error> {
    let invocation = function.invoke(event).await.map_err(Error::set)?;
    let response = invocation.response.as_ref().map_err(|error| Error::set(&error.message))?;
    let status = response["statusCode"].as_u64().unwrap_or_default();
    if !(200..300).contains(&status) {
        return Err(Error::Set(format!("the answer is {response}")));
    }
    if invocation.finished().await != End::Frozen {
        return Err(Error::Set(format!("an event did not come to its end: {}", function.log())));
    }
    Ok(invocation.answered_after)
}

fn event(rig: &Rig, kind: Kind, id: u64) -> Value {
    match kind {
        Kind::Ours | Kind::Nothing => queued(rig, id),
        Kind::Others => {
            let job = WorkflowJob::new(id, REPOSITORY, &["macos-15"]).created_at(Timestamp::now()).queued();
            Delivery::workflow_job(&format!("delivery-{id}"), &job, rig.secret()).request().event()
        }
    }
}

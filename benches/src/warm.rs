//! A warm function: what each event takes, and what they leave in memory.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use mayfly_testkit::lambda::{End, Function};
use serde_json::Value;
use tokio::time::Instant;

use crate::Error;
use crate::measure::{Scheduled, cpu_of, percentile};
use crate::processors::Apart;
use crate::rig::{Programs, REPOSITORY, Rig, Shape};
use crate::start::queued;
use crate::tail::{Answer, Parts, split};

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
    /// Where the time went, of the middle answers and of the slowest; not of those that wait for nothing.
    pub parts: Option<[Parts; 2]>,
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
    /// Each at its time, to some environments.
    FiftyASecond,
}

impl Pace {
    /// One environment is at an event until all is done for it, so fifty a second take more than one.
    fn environments(self) -> u64 {
        match self {
            Self::OneByOne => 1,
            Self::FiftyASecond => 3,
        }
    }
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
            Self::FiftyASecond => "50 a second to three environments",
        })
    }
}

const APART: Duration = Duration::from_millis(20);
/// The first ones make the connections, and are not counted.
const WARM_UP: u64 = 50;

/// So many events to as many environments of the webhook's function as the pace takes, all on one processor.
pub async fn warm(programs: &Programs, kind: Kind, pace: Pace, events: usize) -> Result<Warm, Error> {
    let mut shape = Shape::of(9_999);
    shape.timing.insert = Duration::from_millis(1);
    let rig = Rig::set(shape).await?;
    let program = if kind == Kind::Nothing { &programs.hello } else { &programs.webhook };
    let start = (0..pace.environments()).map(|lane| environment(&rig, program, kind, lane));
    let functions = try_join_all(start).await?;
    let pids: Vec<i32> = functions.iter().filter_map(Function::pid).collect();
    let _apart = Apart::keep(&pids)?;
    let gone = || Error::Set("a function has gone".to_owned());
    let used = || pids.iter().map(|pid| cpu_of(*pid)).sum::<Option<Duration>>();
    let cpu_before = used().ok_or_else(gone)?;
    let begun = Instant::now();
    let lanes = functions.iter().enumerate().map(|(lane, function)| {
        let numbers = (lane..events).step_by(functions.len());
        in_turn(&rig, function, kind, pace, (begun, numbers))
    });
    let answers = try_join_all(lanes).await?.concat();
    let (cpu, lasted) = (used().ok_or_else(gone)?.saturating_sub(cpu_before), begun.elapsed());
    if functions.iter().any(|function| function.restart_count() > 0) || pids.len() < functions.len() {
        return Err(gone());
    }
    rig.is_sound()?;
    let made = rig.simulator.with(|world, _| world.calls_of("gcp.insert"));
    let warm_up = WARM_UP * functions.len() as u64;
    let wanted = if kind == Kind::Ours { warm_up + events as u64 } else { 0 };
    if made != wanted {
        let log = std::env::temp_dir().join("mayfly-benches.log");
        std::fs::write(&log, functions.iter().map(Function::log).collect::<String>())?;
        let log = log.display();
        return Err(Error::Set(format!(
            "{made} VMs were asked for, and {wanted} were wanted; what the functions said is in {log}"
        )));
    }
    let parts = (kind == Kind::Ours).then(|| split(&answers, &rig.table.requests()));
    let took: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
    let memory: Option<Vec<u64>> = functions.iter().map(Function::peak_memory_bytes).collect();
    Ok(Warm {
        kind,
        pace,
        events,
        p50: percentile(&took, 50),
        p99: percentile(&took, 99),
        rate: events as f64 / lasted.as_secs_f64(),
        cpu: cpu / u32::try_from(events).unwrap_or(u32::MAX),
        memory: memory.and_then(|each| each.into_iter().max()).ok_or_else(gone)?,
        parts,
    })
}

/// A warm environment.
async fn environment(rig: &Rig, program: &Path, kind: Kind, lane: u64) -> Result<Function, Error> {
    let function = Function::start(rig.launch(program)).await.map_err(Error::set)?;
    for id in 0..WARM_UP {
        answer(&function, event(rig, kind, lane * WARM_UP + id)).await?;
    }
    Ok(function)
}

/// Some of the events, each when all is done for the one before, and not before its time.
async fn in_turn(
    rig: &Rig,
    function: &Function,
    kind: Kind,
    pace: Pace,
    (begun, numbers): (Instant, impl Iterator<Item = usize>),
) -> Result<Vec<Answer>, Error> {
    let mut answers = Vec::new();
    for number in numbers {
        if pace == Pace::FiftyASecond {
            tokio::time::sleep_until(begun + APART * u32::try_from(number).unwrap_or(u32::MAX)).await;
        }
        answers.push(answer(function, event(rig, kind, 1_000_000 + number as u64)).await?);
        rig.tidy();
    }
    Ok(answers)
}

async fn answer(function: &Function, event: Value) -> Result<Answer, Error> {
    let scheduled = || function.pid().map(Scheduled::of_threads).unwrap_or_default();
    let (before, begun) = (scheduled(), std::time::Instant::now());
    let invocation = function.invoke(event).await.map_err(Error::set)?;
    let scheduled = scheduled().since(before);
    let response = invocation.response.as_ref().map_err(|error| Error::set(&error.message))?;
    let status = response["statusCode"].as_u64().unwrap_or_default();
    if !(200..300).contains(&status) {
        return Err(Error::Set(format!("the answer is {response}")));
    }
    if invocation.finished().await != End::Frozen {
        return Err(Error::Set(format!("an event did not come to its end: {}", function.log())));
    }
    Ok(Answer { begun, took: invocation.answered_after, scheduled })
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

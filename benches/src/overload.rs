//! One environment under a flood of requests that nobody signed, with good events among them.

use std::time::Duration;

use jiff::Timestamp;
use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use mayfly_testkit::lambda::{End, Function};
use serde_json::Value;
use simulator::ENDPOINTS;
use tokio::time::Instant;

use crate::Error;
use crate::measure::{cpu_of, percentile};
use crate::processors::Apart;
use crate::rig::{LABELS, Programs, REPOSITORY, Rig, Shape};
use crate::start::queued;

/// What a flood did.
#[derive(Debug, Clone, Copy)]
pub struct Overload {
    /// How long it lasted.
    pub lasted: Duration,
    /// Requests with a wrong signature: how many, how many a second, how long their answers took, and the processor time of each
    /// before any good event came.
    pub forged: usize,
    pub rate: f64,
    pub forged_p50: Duration,
    pub forged_p99: Duration,
    pub cpu: Duration,
    /// Requests to the table, GitHub and the clouds that forged ones led to.
    pub led_to: u64,
    /// Lines in the log for each of them.
    pub lines: f64,
    /// Good events among them: how many, how long their answers took, and for how many a VM was made.
    pub good: usize,
    pub good_p50: Duration,
    pub good_p99: Duration,
    pub made: u64,
    /// The most memory resident after a sixth of the time, and at the end.
    pub memory_early: u64,
    pub memory: u64,
    /// The same of a flood of half the time, whose invocations all have one trace id.
    pub one_trace: Option<(u64, u64)>,
}

/// So many forged ones are sent in a second, as far as one environment takes them one after the other.
const RATE: u32 = 2_000;
/// Good events are so far apart.
const GOOD_EVERY: Duration = Duration::from_millis(100);
/// Bodies of as many different jobs: none is answered from memory, and making them costs no time meanwhile.
const BODIES: u64 = 64;

/// A flood for so long; in its first sixth nothing else comes. And one of half the time, with one trace id.
pub async fn overload(programs: &Programs, lasting: Duration) -> Result<Overload, Error> {
    let flooded = flood(programs, lasting, false).await?;
    let alike = flood(programs, lasting / 2, true).await?;
    Ok(Overload { one_trace: Some((alike.memory_early, alike.memory)), ..flooded })
}

async fn flood(programs: &Programs, lasting: Duration, one_trace: bool) -> Result<Overload, Error> {
    let mut shape = Shape::of(9_999);
    shape.timing.insert = Duration::from_millis(1);
    let rig = Rig::set(shape).await?;
    let launch = rig.launch(&programs.webhook);
    let launch = if one_trace { launch.one_trace() } else { launch };
    let function = Function::start(launch).await.map_err(Error::set)?;
    let pid = function.pid().ok_or_else(|| Error::Set("the function has gone".to_owned()))?;
    let _apart = Apart::keep(&[pid])?;
    let bodies: Vec<Value> = (0..BODIES).map(forged).collect();
    // Made ready, and its connections made.
    answered(&function, queued(&rig, 1), 202).await?;
    let mut flood = Flood { rig: &rig, function: &function, bodies, forged: Vec::new(), good: Vec::new() };
    let remote = || {
        rig.simulator.with(|world, _| ENDPOINTS.iter().map(|endpoint| world.calls_of(endpoint)).sum::<u64>())
    };
    let calls = || rig.table.usage().total() + remote();
    let (calls_before, lines_before) = (calls(), lines(&function));
    let used = || cpu_of(pid).ok_or_else(|| Error::Set("the function has gone".to_owned()));
    let (begun, cpu_before) = (Instant::now(), used()?);
    flood.rage(begun, lasting / 6, None).await?;
    let count = u32::try_from(flood.forged.len()).unwrap_or(u32::MAX);
    let cpu = (used()?.saturating_sub(cpu_before)) / count.max(1);
    let (led_to, told) = (calls() - calls_before, lines(&function) - lines_before);
    let memory_early = function.peak_memory_bytes().unwrap_or_default();
    flood.rage(begun, lasting, Some(begun + lasting / 6)).await?;
    let lasted = begun.elapsed();
    let Flood { forged, good, .. } = flood;
    if function.restart_count() > 0 {
        return Err(Error::Set(format!("the function has gone: {}", function.log())));
    }
    rig.is_sound()?;
    Ok(Overload {
        lasted,
        rate: forged.len() as f64 / lasted.as_secs_f64(),
        forged_p50: percentile(&forged, 50),
        forged_p99: percentile(&forged, 99),
        forged: forged.len(),
        cpu,
        led_to,
        lines: told as f64 / f64::from(count.max(1)),
        good_p50: percentile(&good, 50),
        good_p99: percentile(&good, 99),
        // The first was no part of the flood.
        made: rig.simulator.with(|world, _| world.calls_of("gcp.insert")).saturating_sub(1),
        good: good.len(),
        memory_early,
        memory: function.peak_memory_bytes().unwrap_or_default(),
        one_trace: None,
    })
}

struct Flood<'a> {
    rig: &'a Rig,
    function: &'a Function,
    bodies: Vec<Value>,
    /// How long the answers took.
    forged: Vec<Duration>,
    good: Vec<Duration>,
}

impl Flood<'_> {
    /// Until so long after the beginning; good events from then on, where they come at all.
    async fn rage(
        &mut self,
        begun: Instant,
        until: Duration,
        good_from: Option<Instant>,
    ) -> Result<(), Error> {
        while begun.elapsed() < until {
            let due =
                good_from.map(|from| from + GOOD_EVERY * u32::try_from(self.good.len()).unwrap_or(u32::MAX));
            if due.is_some_and(|due| due <= Instant::now()) {
                let event = queued(self.rig, 2_000_000 + self.good.len() as u64);
                self.good.push(answered(self.function, event, 202).await?);
                self.rig.tidy();
            }
            let next =
                begun + Duration::from_secs(1) / RATE * u32::try_from(self.forged.len()).unwrap_or(u32::MAX);
            // A timer counts in milliseconds.
            if next > Instant::now() + Duration::from_millis(1) {
                tokio::time::sleep_until(next).await;
            }
            let event = self.bodies[self.forged.len() % self.bodies.len()].clone();
            self.forged.push(answered(self.function, event, 401).await?);
        }
        Ok(())
    }
}

/// A delivery of real size that somebody else signed.
fn forged(id: u64) -> Value {
    let job = WorkflowJob::new(id, REPOSITORY, &LABELS).created_at(Timestamp::now()).queued();
    Delivery::workflow_job(&format!("forged-{id}"), &job, "a secret that somebody guessed").request().event()
}

fn lines(function: &Function) -> usize {
    function.log().lines().count()
}

/// How long the answer took, which is to be this one.
async fn answered(function: &Function, event: Value, status: u64) -> Result<Duration, Error> {
    let invocation = function.invoke(event).await.map_err(Error::set)?;
    let response = invocation.response.as_ref().map_err(|error| Error::set(&error.message))?;
    if response["statusCode"] != status {
        return Err(Error::Set(format!("the answer is {response}, and {status} was to come")));
    }
    if invocation.finished().await != End::Frozen {
        return Err(Error::Set(format!("an event did not come to its end: {}", function.log())));
    }
    Ok(invocation.answered_after)
}

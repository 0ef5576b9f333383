//! From the start of the process to its first answer, beside the least that a function can be.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use mayfly_testkit::delivery::{Delivery, WorkflowJob};
use mayfly_testkit::lambda::{End, Event, EventKind, Function};
use serde_json::Value;

use crate::Error;
use crate::measure::{cpu_of_threads, median, pages_of};
use crate::rig::{LABELS, Programs, REPOSITORY, Rig, Shape};

/// What a start costs; medians.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// From the start of the process to its first answer.
    pub to_answer: Duration,
    /// From the start of the process until it waits for its first event.
    pub to_ready: Duration,
    /// Processor time until then, and until the answer.
    pub cpu_to_ready: Duration,
    pub cpu_to_answer: Duration,
    /// Pages of memory that were mapped until it was ready, and until the answer: code that runs for the first time, too.
    pub pages_to_ready: u64,
    pub pages_to_answer: u64,
    /// How long the answer to a second event took.
    pub second: Duration,
    /// The most memory resident, after the first invocation.
    pub memory: u64,
}

/// A delivery of a real size, of a job that nobody has heard of.
pub fn queued(rig: &Rig, id: u64) -> Value {
    // Of the installation that is there: for any other a token would be asked for in vain, each time.
    let installation = rig.simulator.installation_id();
    let job =
        WorkflowJob::new(id, REPOSITORY, &LABELS).installation(installation).created_at(Timestamp::now());
    let job = job.queued();
    Delivery::workflow_job(&format!("delivery-{id}"), &job, rig.secret()).request().event()
}

/// Both, alternating, so many times each: the webhook's function, and the other.
pub async fn side_by_side(programs: &Programs, times: usize) -> Result<[Start; 2], Error> {
    let rig = Rig::set(Shape::of(9_999)).await?;
    let (mut webhook, mut hello) = (Vec::new(), Vec::new());
    for time in 0..times {
        let events = [1_000, 2_000].map(|first| queued(&rig, first + time as u64));
        hello.push(once(&rig, &programs.hello, events.clone()).await?);
        webhook.push(once(&rig, &programs.webhook, events).await?);
    }
    Ok([of_all(&webhook), of_all(&hello)])
}

async fn once(rig: &Rig, program: &Path, [event, another]: [Value; 2]) -> Result<Start, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Set(format!("{}: {error}", program.display()));
    let function = Function::start(rig.launch(program)).await.map_err(|error| failed(&error))?;
    // It is frozen now, and has done nothing else yet.
    let gone = || failed(&"the process has gone");
    let pid = function.pid().ok_or_else(gone)?;
    let (cpu_to_ready, pages_to_ready) = (cpu_of_threads(pid), pages_of(pid).ok_or_else(gone)?);
    let to_ready = ready_after(&function).ok_or_else(gone)?;
    let invocation = function.invoke(event).await.map_err(|error| failed(&error))?;
    // The work after the answer has hardly begun.
    let (cpu_to_answer, pages_to_answer) = (cpu_of_threads(pid), pages_of(pid).ok_or_else(gone)?);
    invocation.response.as_ref().map_err(|error| failed(&error.message))?;
    if invocation.finished().await != End::Frozen {
        return Err(failed(&"it did not come to its end"));
    }
    let memory = function.peak_memory_bytes().ok_or_else(gone)?;
    let second = function.invoke(another).await.map_err(|error| failed(&error))?;
    second.response.as_ref().map_err(|error| failed(&error.message))?;
    second.finished().await;
    Ok(Start {
        // What lies between is the emulation's own: stopping the process, and waking it.
        to_answer: to_ready + invocation.answered_after,
        to_ready,
        cpu_to_ready,
        cpu_to_answer,
        pages_to_ready,
        pages_to_answer,
        second: second.answered_after,
        memory,
    })
}

/// From the start of the process until all of it waits for an event.
fn ready_after(function: &Function) -> Option<Duration> {
    let events = function.events();
    let started = events.iter().find(|event| matches!(event.kind, EventKind::Started { .. }))?;
    let frozen = events.iter().position(|event| event.kind == EventKind::Frozen)?;
    let waits =
        |event: &&Event| matches!(event.kind, EventKind::RuntimeWaits | EventKind::ExtensionWaits { .. });
    let ready = events[..frozen].iter().rfind(waits)?;
    Some(ready.at.duration_since(started.at))
}

fn of_all(starts: &[Start]) -> Start {
    let middle = |part: fn(&Start) -> Duration| median(&starts.iter().map(part).collect::<Vec<_>>());
    let middle_of = |part: fn(&Start) -> u64| {
        let mut values: Vec<u64> = starts.iter().map(part).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    Start {
        to_answer: middle(|start| start.to_answer),
        to_ready: middle(|start| start.to_ready),
        cpu_to_ready: middle(|start| start.cpu_to_ready),
        cpu_to_answer: middle(|start| start.cpu_to_answer),
        pages_to_ready: middle_of(|start| start.pages_to_ready),
        pages_to_answer: middle_of(|start| start.pages_to_answer),
        second: middle(|start| start.second),
        memory: middle_of(|start| start.memory),
    }
}

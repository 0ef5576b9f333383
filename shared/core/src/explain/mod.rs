//! The story of one job, in words: what the table and GitHub say of it, how long each step took, and what is not known.
//!
//! The job's own timeline tells most of it; its slot says how its runner stands now, the queue what it waits for. Nothing is
//! guessed: what no source says is said to be not known.

use jiff::Timestamp;
use serde::Serialize;

use crate::age::Age;
use crate::event::Change;
use crate::ids::{Deployment, JobId, PoolName, Repository, RunnerName, SlotIndex};
use crate::job::{Job, JobState};
use crate::overview::WaitingOverview;
use crate::slot::{Phase, Purpose, Slot};
use crate::telling::{Step, way_of};

mod tale;
mod words;

use tale::Tale;
use words::in_words;
pub use words::stands;

/// What is known of a job.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// When it was read.
    pub now: Timestamp,
    /// Whose runners are ours.
    pub deployment: &'a Deployment,
    /// The job's record.
    pub job: &'a Job,
    /// The slot that [`slot_of`] names, as it is now.
    pub slot: SlotSeen,
    /// Where it stands in its pool's queue, from 1, and what it waits for; none where it is not there, or was not looked for.
    pub queue: Option<(usize, WaitingOverview)>,
    /// How far GitHub says it is.
    pub github: GitHubSaid,
}

/// A slot, as it is now.
#[derive(Debug, Clone)]
pub enum SlotSeen {
    /// There was none to look at.
    None,
    /// Nobody has it.
    Free,
    /// Somebody has it.
    Taken(Box<Slot>),
    /// It could not be read, for this reason.
    Unknown(String),
}

/// How far GitHub says a job is.
#[derive(Debug, Clone)]
pub enum GitHubSaid {
    /// This.
    Said(JobAtGitHub),
    /// Nothing, for this reason.
    Nothing(String),
}

/// A job as GitHub has it.
#[derive(Debug, Clone)]
pub struct JobAtGitHub {
    /// How far it is.
    pub change: Change,
    /// When it started, and when it ended, where it did.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

/// The story of one job.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Which.
    pub job: JobId,
    /// Whose.
    pub repository: Repository,
    /// The pool that serves it.
    pub pool: PoolName,
    /// How far the table has it: `held`, `waiting`, `assigned`, `running`, `done`.
    pub state: &'static str,
    /// The runner that has it or had it, or that is meant for it.
    pub runner: Option<String>,
    /// What happened, oldest first.
    pub story: Vec<Line>,
    /// How it stands now.
    pub now: Vec<String>,
    /// How long its steps took.
    pub durations: Vec<Span>,
    /// What GitHub says; why it says nothing, where it does not.
    pub github: String,
    /// What is not known.
    pub unknown: Vec<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// So long after the job was queued, in milliseconds; negative where clocks differ.
    pub after_ms: i64,
    /// What.
    pub what: String,
}

/// How long a step took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Which.
    pub what: &'static str,
    /// So long, in milliseconds.
    pub ms: i64,
}

/// The slot to look at for a job: the one that it has or counts on, or that of the runner of ours that is named last.
pub fn slot_of(deployment: &Deployment, job: &Job) -> Option<(PoolName, SlotIndex)> {
    if let Some(slot) = job.state.slot() {
        return Some((job.pool.clone(), slot));
    }
    let runner = last_runner(job).and_then(|name| RunnerName::parse(deployment, &name));
    runner.map(|runner| (runner.pool().clone(), runner.slot()))
}

/// The runner that ran the job last, else the one that was meant for it last.
fn last_runner(job: &Job) -> Option<String> {
    let steps = || job.timeline.iter().rev().map(|line| Step::read(&line.what).0);
    let ran = steps().find_map(|step| step.ran().map(str::to_owned));
    if matches!(job.state, JobState::Running { .. } | JobState::Done) && ran.is_some() {
        return ran;
    }
    steps().find_map(|step| step.assigned().map(str::to_owned))
}

/// Tells a job's story.
pub fn explain(evidence: &Evidence<'_>) -> Explanation {
    let Evidence { job, deployment, .. } = *evidence;
    let runner = last_runner(job);
    let mut told: Vec<(Timestamp, Step, bool)> = job
        .timeline
        .iter()
        .map(|line| {
            let (step, asked) = Step::read(&line.what);
            (line.at, step, asked)
        })
        .collect();
    // A runner on its way tells itself how it came there; later the job that takes it does.
    if let (SlotSeen::Taken(slot), Some(name)) = (&evidence.slot, &runner)
        && slot.runner.as_str() == name
        && !matches!(slot.phase, Phase::Busy { .. })
    {
        let known = |line: &crate::job::Moment| told.iter().any(|(_, step, _)| step.to_string() == line.what);
        let way: Vec<_> = way_of(slot).into_iter().filter(|line| !known(line)).collect();
        told.extend(way.into_iter().map(|line| (line.at, Step::read(&line.what).0, false)));
    }
    told.sort_by_key(|(at, _, _)| *at);
    let line = |at: Timestamp, what: String| Line { at, after_ms: between(job.queued_at, at), what };
    let mut story = vec![line(job.queued_at, "it is queued, GitHub says".to_owned())];
    for (place, (at, step, asked)) in told.iter().enumerate() {
        let before = told.get(..place).unwrap_or_default();
        let again = before.iter().any(|(_, before, _)| before == step && is_event(step));
        let mut what = in_words(step, deployment, before);
        if *asked {
            what.push_str(" (no delivery told of it: GitHub was asked)");
        }
        if again {
            what.push_str(" (told again)");
        }
        story.push(line(*at, what));
    }
    if let (SlotSeen::Taken(slot), Some(name)) = (&evidence.slot, &runner)
        && let Phase::Deleting { since, .. } = slot.phase
        && slot.runner.as_str() == name
    {
        story.push(line(since, format!("{name} has done its part: its VM is to be deleted")));
    }
    story.sort_by_key(|line| line.at);
    let tale = Tale { evidence, told: &told, runner: runner.as_deref() };
    Explanation {
        job: job.id,
        repository: job.repository.clone(),
        pool: job.pool.clone(),
        state: job.state.as_str(),
        story,
        now: tale.now(),
        durations: tale.durations(),
        github: tale.github(),
        unknown: tale.unknown(),
        runner,
    }
}

fn between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond() - from.as_millisecond()
}

/// Whether a step is what an event tells, which may come twice.
fn is_event(step: &Step) -> bool {
    matches!(step, Step::Started { .. } | Step::Ended { .. })
}

/// The story of a runner that no job has.
#[derive(Debug, Clone, Serialize)]
pub struct RunnerExplanation {
    /// Its name.
    pub runner: RunnerName,
    /// What happened, oldest first.
    pub story: Vec<Line>,
    /// How it stands now.
    pub now: Vec<String>,
}

/// Tells the story of a runner that is spare, or whose job is not known.
pub fn explain_runner(slot: &Slot, deployment: &Deployment, now: Timestamp) -> RunnerExplanation {
    let line = |at: Timestamp, what: String| Line { at, after_ms: between(slot.reserved_at, at), what };
    let mut story = vec![line(slot.reserved_at, format!("a slot is taken for {}", slot.runner))];
    story.extend(
        way_of(slot)
            .into_iter()
            .map(|moment| line(moment.at, in_words(&Step::read(&moment.what).0, deployment, &[]))),
    );
    story.sort_by_key(|line| line.at);
    let mut says = vec![stands(slot, now)];
    match (slot.purpose, &slot.phase) {
        (_, Phase::Deleting { .. } | Phase::Busy { .. }) | (Purpose::Job(_), _) => {}
        (Purpose::Spare { since }, _) => {
            says.push(format!("no job counts on it, for {}", Age::between(since, now)));
        }
    }
    if let Some(job) = slot.displaced {
        says.push(format!("job {job} counted on it, and is not seen to yet"));
    }
    RunnerExplanation { runner: slot.runner.clone(), story, now: says }
}

#[cfg(test)]
mod tests;

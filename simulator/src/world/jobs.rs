//! Workflow jobs, from being queued to their end.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::World;
use super::history::HappeningKind;
use super::ids::{JobId, RunnerId};
use super::timeline::{Due, after};

/// A workflow job to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSpec {
    /// `owner/name`; the world must have it.
    pub repository: String,
    /// `runs-on`.
    pub labels: Vec<String>,
    /// How long it runs.
    pub duration: Duration,
    /// The workflow's name.
    pub workflow_name: String,
    /// The job's name.
    pub job_name: String,
    /// The branch it runs on.
    pub head_branch: String,
    /// The fork whose pull request it is of, `owner/name`; none for a push to the repository itself.
    pub fork: Option<String>,
    /// Queued, or waiting for an environment's approval.
    pub status: JobStatus,
    /// How it ends when it runs to its end.
    pub conclusion: Conclusion,
    /// The run to add the job to; a new one if there is none by this id.
    pub run: Option<u64>,
}

impl JobSpec {
    /// A job of a minute, queued at once, that succeeds.
    pub fn new(repository: &str, labels: &[&str]) -> Self {
        Self {
            repository: repository.to_owned(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            duration: Duration::from_secs(60),
            workflow_name: "CI".to_owned(),
            job_name: "test".to_owned(),
            head_branch: "main".to_owned(),
            fork: None,
            status: JobStatus::Queued,
            conclusion: Conclusion::Success,
            run: None,
        }
    }

    /// It runs for so long.
    pub fn lasting(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// It is of a pull request from that fork.
    pub fn of_fork(mut self, full_name: &str) -> Self {
        self.fork = Some(full_name.to_owned());
        self
    }

    /// It needs an approval before it is queued.
    pub fn waiting(mut self) -> Self {
        self.status = JobStatus::Waiting;
        self
    }
}

/// How a job begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// Ready to be run.
    Queued,
    /// Behind an environment's approval.
    Waiting,
}

/// How a job ended, as GitHub calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Conclusion {
    Success,
    Failure,
    Cancelled,
}

impl Conclusion {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Who runs a job, remembered beyond the runner's own life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunnerRef {
    /// GitHub's id.
    pub id: RunnerId,
    /// Its name.
    pub name: String,
    /// Its group.
    pub group_id: u64,
    /// Its group's name.
    pub group_name: String,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum JobState {
    /// Behind an approval.
    Waiting,
    /// Waiting for a runner.
    Queued,
    /// On a runner.
    Running {
        /// Whose.
        runner: RunnerRef,
        /// Since when.
        since: Timestamp,
    },
    /// Over.
    Ended {
        /// How.
        conclusion: Conclusion,
        /// Where it ran, and since when, if it was started at all.
        ran: Option<(RunnerRef, Timestamp)>,
        /// When it ended.
        at: Timestamp,
    },
}

impl JobState {
    /// Whether the job has ended, in whatever way.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Ended { .. })
    }

    /// The `status` that GitHub gives.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Running { .. } => "in_progress",
            Self::Ended { .. } => "completed",
        }
    }

    /// The runner that runs or ran it, and since when.
    pub fn ran(&self) -> Option<(&RunnerRef, Timestamp)> {
        match self {
            Self::Waiting | Self::Queued => None,
            Self::Running { runner, since } => Some((runner, *since)),
            Self::Ended { ran, .. } => ran.as_ref().map(|(runner, since)| (runner, *since)),
        }
    }
}

/// A job that exists.
#[derive(Debug, Clone)]
pub struct Job {
    pub(crate) id: JobId,
    pub(crate) run: u64,
    pub(crate) spec: JobSpec,
    pub(crate) created: Timestamp,
    pub(crate) state: JobState,
}

impl World {
    /// Queue a job (or set it behind an approval); GitHub's webhooks and scheduler take it from there.
    pub fn queue_job(&mut self, now: Timestamp, spec: JobSpec) -> JobId {
        self.advance(now);
        let id = JobId(self.github.next_id());
        let run = spec.run.unwrap_or_else(|| self.github.next_id());
        let waits = spec.status == JobStatus::Waiting;
        let state = if waits { JobState::Waiting } else { JobState::Queued };
        let text = format!("job {id} of {} wants [{}]", spec.repository, spec.labels.join(", "));
        self.github.jobs.insert(id, Job { id, run, spec, created: now, state });
        self.github.runs.entry(run).or_default().push(id);
        if waits {
            self.note(now, HappeningKind::JobWaiting, text);
            // GitHub says queued first, with the status waiting.
            self.announce(now, id, "queued");
            self.announce(now, id, "waiting");
        } else {
            self.note(now, HappeningKind::JobQueued, text);
            self.announce(now, id, "queued");
            self.github.queue.insert(id);
            self.match_job(now, id);
        }
        id
    }

    /// Approve a waiting job: it is queued. Others stay as they are.
    pub fn approve_job(&mut self, now: Timestamp, id: JobId) {
        self.advance(now);
        let Some(job) = self.github.jobs.get_mut(&id) else { return };
        if job.state != JobState::Waiting {
            return;
        }
        job.state = JobState::Queued;
        self.note(now, HappeningKind::JobApproved, format!("job {id} was approved"));
        self.announce(now, id, "queued");
        self.github.queue.insert(id);
        self.match_job(now, id);
    }

    /// Cancel a job. One that was not started ends without a runner; a running one ends on its runner,
    /// which is then done with its only job.
    pub fn cancel_job(&mut self, now: Timestamp, id: JobId) {
        self.advance(now);
        let Some(job) = self.github.jobs.get(&id) else { return };
        if matches!(job.state, JobState::Ended { .. }) {
            return;
        }
        self.note(now, HappeningKind::JobCancelled, format!("job {id} was cancelled"));
        self.end_job(now, id, Conclusion::Cancelled);
    }

    /// A runner takes a queued job.
    pub(crate) fn start_job(&mut self, now: Timestamp, id: JobId, runner: RunnerId) {
        let Some(reference) = self.runner_ref(runner) else { return };
        let Some(job) = self.github.jobs.get_mut(&id) else { return };
        let text = format!("job {id} runs on {}", reference.name);
        job.state = JobState::Running { runner: reference, since: now };
        let ends = after(now, job.spec.duration);
        self.github.queue.remove(&id);
        self.github.idle.remove(&runner);
        if let Some(runner) = self.github.runners.get_mut(&runner) {
            runner.job = Some(id);
        }
        self.timeline.at(ends, Due::JobEnds(id));
        self.note(now, HappeningKind::JobStarted, text);
        self.announce(now, id, "in_progress");
    }

    /// The job's time is over. A runner that lost its connection meanwhile cannot tell.
    pub(crate) fn job_ends(&mut self, now: Timestamp, id: JobId) {
        let Some(job) = self.github.jobs.get(&id) else { return };
        let JobState::Running { runner, .. } = &job.state else { return };
        let connected = self.github.runners.get(&runner.id).is_some_and(|each| each.connected);
        let conclusion = job.spec.conclusion;
        if connected {
            self.end_job(now, id, conclusion);
        }
    }

    /// GitHub has not heard of a job's runner for too long.
    pub(crate) fn job_is_lost(&mut self, now: Timestamp, id: JobId) {
        if self.github.jobs.get(&id).is_some_and(|job| matches!(job.state, JobState::Running { .. })) {
            self.end_job(now, id, Conclusion::Failure);
        }
    }

    fn end_job(&mut self, now: Timestamp, id: JobId, conclusion: Conclusion) {
        let Some(job) = self.github.jobs.get_mut(&id) else { return };
        let ran = job.state.ran().map(|(runner, since)| (runner.clone(), since));
        let runner = ran.as_ref().map(|(runner, _)| runner.id);
        job.state = JobState::Ended { conclusion, ran, at: now };
        self.github.queue.remove(&id);
        self.note(now, HappeningKind::JobEnded, format!("job {id} ended: {}", conclusion.name()));
        self.announce(now, id, "completed");
        if let Some(runner) = runner {
            self.runner_is_done(now, runner);
        }
    }
}

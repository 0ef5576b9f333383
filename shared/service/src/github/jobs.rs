//! Workflow runs and jobs, as GitHub has them: for when an event may have been lost.

use jiff::Timestamp;
use mayfly_core::event::{Change, JobEvent, job_name};
use mayfly_core::explain::JobAtGitHub;
use mayfly_core::ids::{InstallationId, JobId, Repository, RunId};
use mayfly_core::labels::Labels;
use mayfly_core::policy::Scope;
use serde::Deserialize;
use tokio::time::Instant;

use super::http::Call;
use super::runs::{RunAnswer, Runs};
use super::{GitHub, GitHubError, PAGE, Permission};

/// A run's jobs are read up to this many pages; a matrix has at most 256 jobs.
const JOB_PAGES_MOST: usize = 5;
/// A run has some 15 KB.
const RUNS_PAGE: usize = 50;

/// The `status` of workflow runs that may hold queued jobs (parameter `status` of `GET …/actions/runs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunStatus {
    /// `queued`: none of its jobs has begun.
    Queued,
    /// `in_progress`: some of its jobs have, others may wait for a runner.
    InProgress,
}

impl RunStatus {
    /// GitHub's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
        }
    }
}

/// One page of a repository's runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsPage {
    /// Their ids, newest first.
    pub ids: Vec<u64>,
    /// Whether another page follows.
    pub more: bool,
}

#[derive(Deserialize)]
struct RunsAnswer {
    workflow_runs: Vec<RunAnswer>,
}

#[derive(Deserialize)]
struct JobsAnswer {
    jobs: Vec<JobAnswer>,
}

/// Schema `job`, as far as it is used.
#[derive(Deserialize)]
struct JobAnswer {
    id: u64,
    run_id: Option<u64>,
    status: String,
    conclusion: Option<String>,
    labels: Labels,
    runner_name: Option<String>,
    name: Option<String>,
    created_at: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
}

impl JobAnswer {
    /// The event that would have told of it. Who sees the repository is what its run said, where that was read.
    fn event(self, repository: &Repository, installation: Option<InstallationId>, runs: &Runs) -> JobEvent {
        let run = self.run_id.map(RunId);
        let change = match self.status.as_str() {
            "completed" => Change::ended(self.runner_name, self.conclusion),
            "in_progress" => Change::started(self.runner_name),
            "queued" => Change::Queued,
            // `waiting` for an approval, `pending` behind a concurrency limit, or `requested`: no runner could take it yet.
            _ => Change::Held,
        };
        JobEvent {
            change,
            job: JobId(self.id),
            name: job_name(self.name),
            repository: repository.clone(),
            visibility: run.and_then(|run| runs.get(run)?.visibility),
            run,
            labels: self.labels,
            created_at: self.created_at.and_then(|text| text.parse::<Timestamp>().ok()),
            started_at: self.started_at.and_then(|text| text.parse::<Timestamp>().ok()),
            installation,
            enterprise: None,
        }
    }
}

impl GitHub {
    /// A job as GitHub has it, as the event that would have told of it (`GET /repos/{owner}/{repo}/actions/jobs/{job_id}`);
    /// `installation` is the job's, and is put in the event. A 404 is `Refused`: it is also what GitHub answers to
    /// those who must not see the job, so it proves nothing.
    pub async fn job(
        &self,
        repository: &Repository,
        job: JobId,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<JobEvent, GitHubError> {
        let answer = self.job_answer(repository, job, installation, deadline).await?;
        Ok(answer.event(repository, installation, &self.runs))
    }

    /// The same call, for what it says of times: how far the job is, and when it started and ended.
    pub async fn job_times(
        &self,
        repository: &Repository,
        job: JobId,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<JobAtGitHub, GitHubError> {
        let answer = self.job_answer(repository, job, installation, deadline).await?;
        let moment = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        let (started_at, completed_at) = (moment(&answer.started_at), moment(&answer.completed_at));
        Ok(JobAtGitHub {
            change: answer.event(repository, installation, &self.runs).change,
            started_at,
            completed_at,
        })
    }

    async fn job_answer(
        &self,
        repository: &Repository,
        job: JobId,
        installation: Option<InstallationId>,
        deadline: Instant,
    ) -> Result<JobAnswer, GitHubError> {
        const DOING: &str = "looking a job up";
        let scope = Scope::Repository(repository.clone());
        let path = format!("/{scope}/actions/jobs/{job}");
        let call = Call::get(DOING, &path).needs(Permission::Actions);
        self.answer(&scope, installation, call, deadline).await?.read(DOING)
    }

    /// One page of the repository's runs of that status, fifty at a time (`GET /repos/{owner}/{repo}/actions/runs`);
    /// pages count from 1. GitHub shows at most a thousand runs of a status.
    pub async fn runs(
        &self,
        repository: &Repository,
        status: RunStatus,
        page: usize,
        deadline: Instant,
    ) -> Result<RunsPage, GitHubError> {
        const DOING: &str = "listing a repository's runs";
        let scope = Scope::Repository(repository.clone());
        let path = format!("/{scope}/actions/runs");
        let call = Call::get(DOING, &path)
            .needs(Permission::Actions)
            .query("status", status.as_str())
            .query("exclude_pull_requests", true)
            .query("per_page", RUNS_PAGE)
            .query("page", page);
        let answer = self.answer(&scope, None, call, deadline).await?;
        let runs = answer.read::<RunsAnswer>(DOING)?.workflow_runs;
        let ids = runs.iter().map(RunAnswer::id).collect();
        self.remember_runs(runs);
        Ok(RunsPage { ids, more: answer.next().is_some() })
    }

    /// The jobs of a run's latest attempt (`GET /repos/{owner}/{repo}/actions/runs/{run_id}/jobs`), the first five hundred of
    /// them, as the events that would have told of them. One call for each hundred.
    pub async fn run_jobs(
        &self,
        repository: &Repository,
        run: u64,
        deadline: Instant,
    ) -> Result<Vec<JobEvent>, GitHubError> {
        const DOING: &str = "listing a run's jobs";
        let scope = Scope::Repository(repository.clone());
        let path = format!("/{scope}/actions/runs/{run}/jobs");
        let mut jobs = Vec::new();
        for page in 1..=JOB_PAGES_MOST {
            let call = Call::get(DOING, &path)
                .needs(Permission::Actions)
                .query("filter", "latest")
                .query("per_page", PAGE)
                .query("page", page);
            let answer = self.answer(&scope, None, call, deadline).await?;
            let answered = answer.read::<JobsAnswer>(DOING)?.jobs;
            jobs.extend(answered.into_iter().map(|job| job.event(repository, None, &self.runs)));
            if answer.next().is_none() {
                return Ok(jobs);
            }
        }
        tracing::warn!(%repository, run, most = JOB_PAGES_MOST * PAGE, "a run has more jobs than are looked at: the others are found by their deliveries only");
        Ok(jobs)
    }
}

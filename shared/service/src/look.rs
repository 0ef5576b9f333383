//! What people ask: how a deployment stands, and the story of one job. Nothing is written here.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;
use mayfly_core::event::Change;
use mayfly_core::explain::{
    Evidence, Explanation, GitHubSaid, RunnerExplanation, SlotSeen, explain, explain_runner, slot_of,
};
use mayfly_core::ids::{JobId, PoolName, Repository, RunnerName};
use mayfly_core::job::{Job, JobState};
use mayfly_core::overview::{Overview, SeenPool, WaitingOverview, overview, waiting};
use mayfly_core::page::{Page, Past};
use mayfly_core::past::Used;
use mayfly_core::policy::Policy;
use tokio::time::Instant;

use crate::github::GitHub;
use crate::store::{Ledger, Memory, PoolRead, StoreError};

/// So many pools are read at a time.
const POOLS_AT_ONCE: usize = 16;
/// GitHub's word is an addition, and is waited for no longer.
const GITHUB_LONGEST: Duration = Duration::from_secs(10);

/// How the deployment stands: one read of what one sweep leaves for the next, and one query for each pool. A pool that cannot
/// be read is unknown, and said.
///
/// # Errors
/// The sweep's memory could not be read: then nothing can be said of which pools there are.
pub async fn overview_of(ledger: &Ledger, policy: &Policy, now: Timestamp) -> Result<Overview, StoreError> {
    let memory = ledger.memory().await?;
    let reads = pools(policy, &memory).into_iter().map(|pool| async move {
        let read = ledger.pool_ledger(&pool).await;
        let read =
            read.map(|(ledger, corrupt)| (ledger, corrupt.iter().map(StoreError::to_string).collect()));
        SeenPool { pool, read: read.map_err(|error| error.to_string()) }
    });
    let seen: Vec<SeenPool> = stream::iter(reads).buffered(POOLS_AT_ONCE).collect().await;
    Ok(overview(policy, &seen, memory.swept_at, now))
}

/// What the status page shows: one read of what one sweep leaves for the next, and one query for each pool, each of at most
/// eight pages.
///
/// # Errors
/// The sweep's memory could not be read: then nothing can be said of which pools there are.
pub async fn page_of(
    ledger: &Ledger,
    policy: &Policy,
    currency: &str,
    now: Timestamp,
) -> Result<Page, StoreError> {
    let memory = ledger.memory().await?;
    let reads = pools(policy, &memory).into_iter().map(|pool| async move {
        let read = ledger.pool_and_past(&pool, now).await;
        (pool, read)
    });
    let (mut seen, mut pasts) = (Vec::new(), BTreeMap::new());
    let mut reads = stream::iter(reads).buffered(POOLS_AT_ONCE);
    while let Some((pool, read)) = reads.next().await {
        let read = match read {
            Ok(PoolRead { ledger, corrupt, past }) => {
                let configured = policy.pool(&pool);
                let used = |slot| Used::of(configured, slot, now);
                let there = ledger.slots.iter().filter_map(used).sum();
                pasts.insert(pool.clone(), Past { there, ..past });
                Ok((ledger, corrupt.iter().map(StoreError::to_string).collect()))
            }
            Err(error) => Err(error.to_string()),
        };
        seen.push(SeenPool { pool, read });
    }
    let overview = overview(policy, &seen, memory.swept_at, now);
    Ok(Page { version: env!("CARGO_PKG_VERSION"), overview, pasts, currency: currency.to_owned() })
}

/// The pools of the configuration, and those that may have something left.
fn pools(policy: &Policy, memory: &Memory) -> Vec<PoolName> {
    let removed = memory.pools.keys().filter(|name| policy.pool(name).is_none());
    policy.pools.iter().map(|pool| pool.name.clone()).chain(removed.cloned()).collect()
}

/// What became of a question for a job.
#[derive(Debug)]
pub enum JobStory {
    /// This.
    Told(Box<Explanation>),
    /// The table does not know it.
    Unknown,
}

/// What became of a question for a runner.
#[derive(Debug)]
pub enum RunnerStory {
    /// It is for this job, or runs it.
    Job(Box<Explanation>),
    /// No job has it.
    Alone(Box<RunnerExplanation>),
    /// Its slot is free, or this runner's by now.
    Gone(Option<RunnerName>),
}

/// Who is asked for a job's story.
#[derive(Debug)]
pub struct Witnesses<'a> {
    /// The table.
    pub ledger: &'a Ledger,
    /// The configuration.
    pub policy: &'a Policy,
    /// GitHub, or why it is not asked.
    pub github: Result<&'a GitHub, String>,
}

impl Witnesses<'_> {
    /// The story of a job.
    ///
    /// # Errors
    /// The job's record could not be read.
    pub async fn job(&self, job: JobId, now: Timestamp) -> Result<JobStory, StoreError> {
        let Some(job) = self.ledger.job(job).await? else { return Ok(JobStory::Unknown) };
        let deadline = Instant::now() + GITHUB_LONGEST;
        let (slot, queue, github) =
            tokio::join!(self.slot(&job), self.queue(&job, now), self.github(&job, deadline));
        let deployment = &self.policy.deployment;
        let evidence = Evidence { now, deployment, job: &job, slot, queue: queue?, github };
        Ok(JobStory::Told(Box::new(explain(&evidence))))
    }

    /// The story of a runner: that of its job, where it has one.
    ///
    /// # Errors
    /// The slot or the job's record could not be read.
    pub async fn runner(&self, runner: &RunnerName, now: Timestamp) -> Result<RunnerStory, StoreError> {
        let slot = match self.ledger.slot_at(runner.pool(), runner.slot()).await? {
            Some(slot) if &slot.runner == runner => slot,
            other => return Ok(RunnerStory::Gone(other.map(|slot| slot.runner))),
        };
        if let Some(job) = slot.purpose.job()
            && let JobStory::Told(story) = self.job(job, now).await?
        {
            return Ok(RunnerStory::Job(story));
        }
        Ok(RunnerStory::Alone(Box::new(explain_runner(&slot, &self.policy.deployment, now))))
    }

    /// What GitHub says of a job that the table does not know; `None` where it is not asked.
    pub async fn unknown_at_github(&self, repository: &Repository, job: JobId) -> Option<String> {
        let github = self.github.as_ref().ok()?;
        let deadline = Instant::now() + GITHUB_LONGEST;
        Some(match github.job_times(repository, job, None, deadline).await {
            Ok(said) => in_short(&said.change),
            Err(error) => error.to_string(),
        })
    }

    async fn slot(&self, job: &Job) -> SlotSeen {
        let Some((pool, index)) = slot_of(&self.policy.deployment, job) else { return SlotSeen::None };
        match self.ledger.slot_at(&pool, index).await {
            Ok(Some(slot)) => SlotSeen::Taken(Box::new(slot)),
            Ok(None) => SlotSeen::Free,
            Err(error) => SlotSeen::Unknown(error.to_string()),
        }
    }

    /// Where a waiting job stands, and what it waits for.
    async fn queue(&self, job: &Job, now: Timestamp) -> Result<Option<(usize, WaitingOverview)>, StoreError> {
        if job.state != JobState::Waiting {
            return Ok(None);
        }
        let (ledger, _) = self.ledger.pool_ledger(&job.pool).await?;
        let queue = waiting(self.policy, &ledger, now).into_iter().enumerate();
        Ok(queue.map(|(place, waits)| (place + 1, waits)).find(|(_, waits)| waits.job == job.id))
    }

    async fn github(&self, job: &Job, deadline: Instant) -> GitHubSaid {
        let github = match &self.github {
            Ok(github) => github,
            Err(why) => return GitHubSaid::Nothing(why.clone()),
        };
        match github.job_times(&job.repository, job.id, job.installation, deadline).await {
            Ok(said) => GitHubSaid::Said(said),
            Err(error) => GitHubSaid::Nothing(error.to_string()),
        }
    }
}

fn in_short(change: &Change) -> String {
    let on = |runner: &Option<String>| runner.as_ref().map(|name| format!(" on {name}")).unwrap_or_default();
    match change {
        Change::Queued => "it is queued".to_owned(),
        Change::Held => "it waits for an approval, or behind another".to_owned(),
        Change::Started { runner } => format!("it runs{}", on(runner)),
        Change::Ended { runner, conclusion } => {
            format!("it is over{}: {}", on(runner), conclusion.as_deref().unwrap_or("no conclusion"))
        }
    }
}
